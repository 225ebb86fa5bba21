"""Means over what counts, without asking the device how much that is."""

from __future__ import annotations

import torch
from torch import Tensor

from reactkd_auto.ranks import mean_over_ranks


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` (same shape, any dtype) is not zero; 0, with a gradient of 0, where nowhere.

    Processes that share a batch divide by what counts in all of it, so the mean of their values is the batch's.
    """
    weight = mask.to(values.dtype)
    total = mean_over_ranks(weight.sum()).clamp(min=torch.finfo(values.dtype).tiny)
    return (torch.where(weight > 0, values, 0.0) * weight).sum() / total


def graded_mean(values: Tensor, label: Tensor, weights: Tensor | None) -> Tensor:
    """Class-weighted mean of per-sample losses (B,) over graded samples (label ≥ 0)."""
    graded = (label >= 0).to(values.dtype)
    if weights is not None:
        graded = graded * weights.to(values)[label.clamp(min=0)]
    return masked_mean(values, graded)
