"""The convolutions of the generator: chooses how each is computed."""

from torch import Tensor

from segdistill.ops.impl import Impl, check_impl, take_fused
from segdistill.ops.masked_generator.cost import folding_pays, too_narrow, why_not_winograd
from segdistill.ops.masked_generator.cpu.visible import visible_conv
from segdistill.ops.masked_generator.cpu.winograd import winograd_conv3x3
from segdistill.ops.masked_generator.folded import folded_conv, folded_conv_in_one
from segdistill.ops.masked_generator.reference import conv3x3_reference, masked_conv_reference, masked_projection


def masked_conv(
    x: Tensor,
    keep: Tensor,
    align_weight: Tensor,
    align_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    impl: Impl = "auto",
) -> Tensor:
    """Project a map, hide positions, convolve: ``conv3x3(keep * conv1x1(x))``, with zero padding of one cell.

    Args:
        x: Student's map (B, S, H, W). Computed in its dtype, to which the parameters are cast.
        keep: (B, 1, H, W), factor of each position.
        align_weight: (C, S, 1, 1).
        align_bias: (C,).
        weight: (O, C, 3, 3).
        bias: (O,).
        impl: ``"reference"`` computes just that. ``"fused"`` never makes the projected map: on every device the
            projection is folded into the kernel, or, on a CPU where much is hidden, visible positions alone are
            multiplied. ``"auto"`` takes it where this saves multiplications, else projects and leaves the rest to
            `conv3x3`. The same numbers up to rounding.

    Returns:
        (B, O, H, W).

    Raises:
        ValueError: If ``impl`` is unknown.
    """
    check_impl(impl)
    tensors = (x, keep, align_weight, align_bias, weight, bias)
    if impl == "reference":
        return masked_conv_reference(*tensors)
    cpu = why_not_winograd(x) is None and too_narrow(weight) is None
    share = 4 / 9 if cpu else 1.0  # of a 3x3 convolution's multiplications that are done
    positions = keep.numel()
    if cpu and (shown := int(keep.count_nonzero())) < share * positions:
        take_fused("masked convolution", impl, x.device, obstacle=None)
        fold = folding_pays(shown, 1.0, align_weight, times=3 / 2)  # the backward pass composes again
        return visible_conv(x, keep, *(p.to(x.dtype) for p in tensors[2:]), fold=fold)
    loss = None if folding_pays(positions, share, align_weight) else "composing the kernel costs more than it saves"
    if take_fused("masked convolution", impl, x.device, obstacle=None, loss=loss):
        return folded_conv(*tensors, winograd=cpu) if x.device.type == "cpu" else folded_conv_in_one(*tensors)
    return conv3x3(masked_projection(x, keep, align_weight, align_bias), weight, bias)


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Convolve (B, I, H, W) with (O, I, 3, 3) and zero padding of one cell; the parameters are cast to x's dtype.

    Args:
        x: Map, any floating dtype.
        weight: Kernel.
        bias: (O,).
        impl: ``"reference"``: a plain convolution. ``"fused"``: Winograd's algorithm, of a CPU, in float32 and float64;
            an error elsewhere. ``"auto"``: Winograd's for wide maps where it runs. The same numbers up to rounding.

    Raises:
        ValueError: If ``impl`` is unknown.
        RuntimeError: If ``impl="fused"`` and it cannot run here.
    """
    check_impl(impl)
    if take_fused("3x3 convolution", impl, x.device, obstacle=why_not_winograd(x), loss=too_narrow(weight)):
        return winograd_conv3x3(x, weight.to(x.dtype), bias.to(x.dtype))
    return conv3x3_reference(x, weight, bias)
