"""Focal loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.masked import graded_mean

GAMMA = 2.0


def focal(logits: Tensor, label: Tensor, weights: Tensor | None = None, *, gamma: float = GAMMA) -> Tensor:
    """−(1 − p_y)^γ log p_y, averaged over graded samples (Lin et al. 2017, arXiv 1708.02002, eq. 4).

    Args:
        logits: (B, K).
        label: (B,) class index, −1 for ungraded.
        weights: (K,) class weights (the paper's α) or None.
        gamma: How strongly easy samples are damped; 0 is cross-entropy.
    """
    log_p = functional.log_softmax(logits.float(), dim=1).gather(1, label.clamp(min=0)[:, None])[:, 0]
    return graded_mean(-((1 - log_p.exp()) ** gamma) * log_p, label, weights)
