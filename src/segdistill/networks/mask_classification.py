"""Networks that answer with queries, a class and a mask each, read as networks that score every pixel."""

from typing import Any

import torch
from torch import Tensor

from segdistill.types import SegOutput

_EPS = 1e-6


def pixel_scores(classes: Tensor, masks: Tensor) -> SegOutput:
    """Log-posterior of every class at every pixel, and how sure the queries are of the pixel.

    With the scores ``S_k = sum_q softmax(classes_q)_k * sigmoid(masks_q)`` the logits are ``log(S_k / sum_j S_j)``. The
    scores themselves are no logits: their softmax is nearly flat. The argmax is that of the scores, as the libraries
    have it. The certainty is ``sum_j S_j``, at most 1: small where no query claims the pixel.

    Args:
        classes: (B, Q, K + 1) logits of the class of each query; the last class is "no object".
        masks: (B, Q, h, w) logits of the mask of each query.

    Returns:
        Logits (B, K, h, w) and certainty (B, h, w), both float32.

    Source: Cheng et al., "Per-Pixel Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021.
    """
    with torch.autocast(masks.device.type, enabled=False):
        likely = classes.float().softmax(-1)[..., :-1]
        scores = torch.einsum("bqk,bqhw->bkhw", likely, masks.float().sigmoid())
        total = scores.sum(1)
        logits = (scores + _EPS).log()
        return SegOutput(logits - logits.logsumexp(1, keepdim=True), certainty=total.detach().clamp(0, 1))


def queries_of(output: Any) -> SegOutput:
    """`pixel_scores` of what a universal network of transformers returns."""
    return pixel_scores(output.class_queries_logits, output.masks_queries_logits)
