"""From real units (HU, SUV, …) to what a network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Normalisation, Plan


def normalise(image: Tensor, dataset: Dataset, plan: Plan, channels: Sequence[str] | None = None) -> Tensor:
    """``(transform(clip(x, lower, upper)) − mean) / std`` of each channel.

    Args:
        image: [B, C, …] in real units; not changed.
        dataset: For the channels' names.
        plan: For each channel's `Normalisation`.
        channels: Names of the C channels; default: all of the dataset, in order.

    Returns:
        Like ``image``, differentiable.

    Raises:
        ValueError: The number of channels differs from the number of names.
    """
    names = [c.name for c in dataset.channels] if channels is None else list(channels)
    if image.shape[1] != len(names):
        raise ValueError(f"image has {image.shape[1]} channels, {len(names)} are named: {', '.join(names)}")
    parts = [_normalise_channel(image[:, i], plan.normalisation[name]) for i, name in enumerate(names)]
    return torch.stack(parts, dim=1)


def _normalise_channel(x: Tensor, rule: Normalisation) -> Tensor:
    x = x.clamp(rule.lower, rule.upper)
    if rule.scheme == "pet_suv":
        x = torch.log1p(x.clamp_min(0.0))
    return (x - rule.mean) / rule.std
