"""Cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from reactkd_auto.training.losses.masked import graded_mean


def cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """−log p_y, averaged over graded samples.

    Args:
        logits: (B, K).
        label: (B,) class index, −1 for ungraded.
        weights: (K,) class weights or None; the mean is the weighted one, as in `torch.nn.CrossEntropyLoss`.
    """
    losses = functional.cross_entropy(logits.float(), label.clamp(min=0), reduction="none")
    return graded_mean(losses, label, weights)
