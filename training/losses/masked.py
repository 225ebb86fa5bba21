"""Means over what counts, without asking the device how much that is."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` (same shape, any dtype) is not zero; 0, with a gradient of 0, where nowhere.

    It looks at the samples at hand. The mean of a batch that is learnt from in parts is made of theirs by
    `shares.shares`, which is told by the sum of the mask how much each counts.
    """
    weight = mask.to(values.dtype)
    total = weight.sum().clamp(min=torch.finfo(values.dtype).tiny)
    return (torch.where(weight > 0, values, 0.0) * weight).sum() / total


def graded_mean(values: Tensor, label: Tensor, weights: Tensor | None) -> Tensor:
    """Class-weighted mean of per-sample losses (B,) over graded samples (label ≥ 0)."""
    return masked_mean(values, graded(label, weights))


def graded(label: Tensor, weights: Tensor | None) -> Tensor:
    """(B,) weight of each sample in `graded_mean`: its class's, 1 where there are none, 0 of an ungraded sample."""
    known = (label >= 0).float()
    return known if weights is None else known * weights.to(known)[label.clamp(min=0)]
