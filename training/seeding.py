"""Everything random is a pure function of (seed, stage, epoch, iteration), so a killed run resumes the same stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MOST_FOLDS = 1000
STREAMS = {"sampling": 0, "augmentation": 1, "network": 2, "localiser": 3}


@dataclass(frozen=True)
class Moment:
    """A point of a training stage.

    Attributes:
        seed: Of the run.
        stage: A number for each stage and set of folds, so that no two share their random numbers.
        epoch: From 0.
        iteration: Within the epoch, from 0.
        progress: Share of the stage that is done, 0…1.
        part: Of a batch that is learnt from in parts, from 0.
    """

    seed: int
    stage: int
    epoch: int
    iteration: int = 0
    progress: float = 0.0
    part: int = 0

    def _entropy(self, stream: str) -> list[int]:
        return [self.seed, self.stage, self.epoch, self.iteration, STREAMS[stream], *([self.part] if self.part else [])]

    def numpy_generator(self, stream: str) -> np.random.Generator:
        """A generator of its own for one use of random numbers at this moment."""
        return np.random.default_rng(self._entropy(stream))

    def torch_seed(self, stream: str) -> int:
        """A 63-bit seed for one use of random numbers at this moment."""
        return int(np.random.SeedSequence(self._entropy(stream)).generate_state(1, np.uint64)[0] >> 1)

    def torch_generator(self, stream: str) -> torch.Generator:
        """A CPU generator of its own for one use of random numbers at this moment."""
        import torch

        return torch.Generator().manual_seed(self.torch_seed(stream))


def stage_number(stage: str, without: Sequence[int]) -> int:
    """A number for each stage and set of folds left out; presets share it, so that their students see the same samples.

    Args:
        stage: ``teachers``, ``student`` or ``localiser``.
        without: Folds, rising.
    """
    stages = ("teachers", "student", "localiser")
    folds = sum((fold + bool(place)) * MOST_FOLDS**place for place, fold in enumerate(without))
    return folds * len(stages) + stages.index(stage)
