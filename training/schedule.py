"""Length, learning rate and averaging of a training stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

WARMUP_SHARE = 0.05
FINAL_SHARE = 0.01


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage is trained; ``iterations`` is the number an epoch."""

    epochs: int
    iterations: int
    learning_rate: float
    weight_decay: float
    ema_decay: float

    @property
    def total(self) -> int:
        """Iterations in all."""
        return self.epochs * self.iterations


def learning_rate(iteration: int, total: int, peak: float) -> float:
    """Linear warm-up over the first 5 % (at least one iteration), then half a cosine down to 1 % of the peak.

    Loshchilov & Hutter 2017 (arXiv 1608.03983, eq. 5, one cycle), warm-up as in Goyal et al. 2017.

    Args:
        iteration: From 0.
        total: Iterations in all.
        peak: Highest learning rate.
    """
    warmup = max(1, round(WARMUP_SHARE * total))
    if iteration < warmup:
        return peak * (iteration + 1) / warmup
    share = (iteration - warmup) / max(1, total - 1 - warmup)
    return peak * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def ema_decay(iteration: int, limit: float) -> float:
    """min(limit, (1 + t) / (10 + t)): a short run averages over its own recent part, not over its random start."""
    return min(limit, (1 + iteration) / (10 + iteration))
