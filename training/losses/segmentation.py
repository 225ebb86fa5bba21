"""Segmentation loss of the localiser."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0


def dice_and_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy + 1 − mean soft Dice of the foreground classes, over all samples at hand.

    Milletari et al. 2016 (arXiv 1606.04797, eq. 1) in the sum with cross-entropy that nnU-Net made usual. Dice is
    taken over the batch, so a class that one sample lacks does not count as an error of it.

    Args:
        logits: (B, R + 1, z, y, x), background first.
        labels: (B, z, y, x) int64 class of each voxel.
    """
    logits = logits.float()
    probabilities = logits.softmax(1)
    truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    axes = (0, 2, 3, 4)
    overlap = (probabilities * truth).sum(axes)
    sizes = probabilities.sum(axes) + truth.sum(axes)
    dice = (2 * overlap + SMOOTH) / (sizes + SMOOTH)
    return functional.cross_entropy(logits, labels) + 1 - torch.mean(dice[1:])
