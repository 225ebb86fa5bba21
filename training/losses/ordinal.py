"""Ordinal loss for ordered classes."""

from __future__ import annotations

import torch
from torch import Tensor

from reactkd_auto.training.losses.masked import graded_mean


def ordinal(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over thresholds k of the binary cross-entropy of "grade > k" (Frank & Hall, ECML 2001, on a softmax).

    P(y > k) = Σ_{j>k} softmax(z)_j, so a prediction two grades off costs more than one grade off, while the K logits
    keep their meaning for distillation. With two classes it is cross-entropy.

    Args:
        logits: (B, K), classes in ascending order.
        label: (B,) class index, −1 for ungraded.
        weights: (K,) class weights or None.
    """
    z = logits.float()
    above = z.flip(1).logcumsumexp(1).flip(1)[:, 1:]  # log Σ_{j>k} e^z, k = 0 … K−2
    below = z.logcumsumexp(1)[:, :-1]  # log Σ_{j≤k} e^z
    is_above = label[:, None] > torch.arange(z.shape[1] - 1, device=z.device)
    losses = (z.logsumexp(1, keepdim=True) - torch.where(is_above, above, below)).mean(1)
    return graded_mean(losses, label, weights)
