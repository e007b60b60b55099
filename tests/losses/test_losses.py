import inspect

import pytest
import torch

from segdistill.losses import LOSSES

torch.set_num_threads(1)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_says_what_it_reads_and_returns(name):
    cls = LOSSES[name]
    parameters = list(inspect.signature(cls).parameters)
    widths = (8, 16) if parameters[:2] == ["student_channels", "teacher_channels"] else ()
    loss = cls(*widths, **({"num_classes": 16} if "num_classes" in parameters else {}))
    assert cls.on in ("logits", "features")
    student, teacher = (
        torch.rand(2, widths[0] if widths else 16, 16, 16, requires_grad=True),
        torch.rand(2, 16, 16, 16),
    )
    arguments = (student, teacher, torch.zeros(2, 16, 16).long()) if loss.uses_labels else (student, teacher)
    value = loss(*arguments)
    assert loss.parts == getattr(value, "_fields", ())
    scalars = value if loss.parts else (value,)
    assert set(loss.published) == set(loss.parts) if loss.parts else loss.published > 0
    assert all(scalar.shape == () and scalar.dtype == torch.float32 for scalar in scalars)
    sum(scalars).backward()
    assert student.grad.isfinite().all()
