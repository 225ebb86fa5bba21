"""What each part of a batch weighs, so that the parts' losses are together those of the whole batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reactkd_auto.ranks import mean_over_ranks


@dataclass(frozen=True)
class Share:
    """What the losses of one part weigh in those of the batch.

    Attributes:
        samples: Share of this process's samples.
        counted: By loss, share of what its mean is over; of losses that are a mean over all samples alike: nothing.
    """

    samples: float
    counted: Mapping[str, Tensor]

    def of(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the part's losses add to the batch's."""
        return {name: self.counted.get(name, self.samples) * value for name, value in losses.items()}


def shares(samples: Sequence[int], counts: Sequence[Mapping[str, Tensor]]) -> list[Share]:
    """What each part of this process's samples weighs.

    Of processes that share the batch at hand, the mean of what they add is the batch's loss. One part of one process
    weighs exactly 1. Where nothing in the batch counts, all weigh 0. Nothing waits for the device.

    Args:
        samples: Of each part.
        counts: Of each part, how much it counts in the mean of each loss that is not over all samples alike: scalars.
    """
    shared = [n / sum(samples) for n in samples]
    names = list(counts[0])
    if not names:
        return [Share(share, {}) for share in shared]
    here = torch.stack([torch.stack([count[name].float() for name in names]) for count in counts])
    whole = mean_over_ranks(here.sum(0)).clamp(min=torch.finfo(here.dtype).tiny)
    rows = here / whole
    return [Share(share, dict(zip(names, row, strict=True))) for share, row in zip(shared, rows, strict=True)]


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The loss that is minimised; losses without a weight are only told."""
    return torch.stack([weights[name] * value for name, value in losses.items() if name in weights]).sum()
