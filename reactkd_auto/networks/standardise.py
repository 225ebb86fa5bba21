"""Running means and standard deviations of features over the valid nodes of a cohort."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reactkd_auto.ranks import sum_over_ranks

SMALLEST_SD = 1e-3


class RunningStandardisation(nn.Module):
    """(h − μ) / σ with μ, σ exponential running statistics, feature by feature, over the valid rows seen so far.

    They are bias-corrected (as Adam's moments, Kingma & Ba 2015), so they are right from the first batch, and buffers,
    hence saved, resumed and handed over with the weights. What varies between cases gets unit size, however small it
    is beside what all cases share; layer norm would scale a node by how its features differ from one another. Batch
    norm's trouble with small batches does not arise: statistics reach over many batches, in training as afterwards.

    Args:
        width: D.
        decay: Of the running statistics, a batch.
    """

    def __init__(self, width: int, *, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.weight: Tensor
        self.first: Tensor
        self.second: Tensor
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))
        self.register_buffer("first", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("second", torch.zeros(width, dtype=torch.float64))

    @torch.no_grad()
    def observe(self, features: Tensor, mask: Tensor) -> None:
        """Take the valid rows (mask (...)) of features (..., D), of every process's, into the running statistics."""
        x, m = features.double().flatten(0, -2), mask.double().flatten()[:, None]
        sums = sum_over_ranks(torch.cat([m.sum(0), (x * m).sum(0), (x * x * m).sum(0)]))
        rows, first, second = sums.split([1, x.shape[1], x.shape[1]])
        share = rows.clamp(max=1.0) * (1 - self.decay)  # a batch without nodes changes nothing
        count = rows.clamp(min=1.0)
        observed = (
            (self.weight, torch.ones_like(self.weight)),
            (self.first, first / count),
            (self.second, second / count),
        )
        for buffer, value in observed:
            buffer.mul_(1 - share[0]).add_(share[0] * value)

    def forward(self, features: Tensor) -> Tensor:
        """(h − μ) / σ in float32; h itself as long as nothing was observed."""
        mean, sd = self.moments()
        return (features.float() - mean) / sd

    def moments(self) -> tuple[Tensor, Tensor]:
        """μ and σ, (D,) each; kept in float64, because a variance is a small difference of large numbers."""
        weight = torch.where(self.weight > 0, self.weight, torch.ones_like(self.weight))
        mean = self.first / weight
        sd = (self.second / weight - mean**2).clamp(min=0).sqrt().clamp(min=SMALLEST_SD)
        return mean.float(), torch.where(self.weight > 0, sd, torch.ones_like(sd)).float()
