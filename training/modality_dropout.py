"""Hiding channels at random, so that every subset of them is understood."""

from __future__ import annotations

import torch
from torch import Tensor


def hiding_probability(progress: float, *, limit: float, warmup: float) -> float:
    """Rises linearly from 0 to ``limit`` over the first ``warmup`` share of the training."""
    return limit * min(1.0, progress / warmup) if warmup > 0 else limit


def hide_channels(
    present: Tensor, probability: float, generator: torch.Generator, *, whole: tuple[int, slice]
) -> Tensor:
    """Mark each channel but the base as missing with ``probability``, sample by sample.

    The base stays, so a sample never loses everything.

    Args:
        present: bool (B, C), the base first; on the CPU.
        probability: 0…1.
        generator: On the CPU.
        whole: Samples of the whole batch, and which of them these are (`Moment.whole`).
    """
    samples, place = whole
    hidden = (torch.rand(samples, present.shape[1], generator=generator) < probability)[place]
    hidden[:, 0] = False
    return present & ~hidden
