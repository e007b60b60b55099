"""The plain numbers that the engine takes, out of a recipe."""

from segdistill.engine import Plan, Protocol, poly_lr
from segdistill.experiment.networks import PRECISIONS
from segdistill.recipe import Recipe


def build_plan(recipe: Recipe) -> Plan:
    """The numbers of the loop; where nobody asked the device, those of a CPU."""
    train, optim = recipe.train, recipe.optim

    def lr(step: int) -> float:
        return poly_lr(step, train.iterations, lr=optim.lr, power=optim.power, min_lr=optim.min_lr)

    return Plan(
        iterations=train.iterations,
        seed=recipe.seed,
        lr=lr,
        batch_size=recipe.data.batch_size,
        accumulate=train.accumulate,
        precision=PRECISIONS[train.precision or "fp32"],
        val_every=train.val_every,
        save_every=train.save_every or train.val_every,
        log_every=train.log_every,
        grad_norms_every=train.grad_norms_every,
        clip=optim.clip,
        clip_terms=optim.clip_terms,
        freeze_bn=train.freeze_bn,
        channels_last=bool(train.channels_last),
    )


def build_protocol(recipe: Recipe) -> Protocol:
    """How scores are taken."""
    config = recipe.evaluate
    return Protocol(config.scales, config.flip, config.window, "zero" if config.protocol == "paper" else "skip")
