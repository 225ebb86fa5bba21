"""Everything random is a pure function of (seed, stage, epoch, iteration), so a killed run resumes the same stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

MOST_FOLDS = 1000
PRETRAINING = ("teacher_encoder", "student_encoder")
"""Stages that leave out no fold."""
STREAMS = {"sampling": 0, "augmentation": 1, "network": 2, "localiser": 3, "regions": 4}


@dataclass(frozen=True)
class Moment:
    """A point of a training stage.

    Attributes:
        seed: Of the run.
        stage: A number for each stage and set of folds, so that no two share their random numbers.
        epoch: From 0.
        iteration: Within the epoch, from 0.
        progress: Share of the stage that is done, 0…1.
        first: Sample of the whole batch that the part at hand begins with.
        samples: Of the whole batch; None: as many as are at hand.
    """

    seed: int
    stage: int
    epoch: int
    iteration: int = 0
    progress: float = 0.0
    first: int = 0
    samples: int | None = None

    def _entropy(self, stream: str) -> list[int]:
        part = [self.first] if self.first and stream == "network" else []
        return [self.seed, self.stage, self.epoch, self.iteration, STREAMS[stream], *part]

    def numpy_generator(self, stream: str) -> np.random.Generator:
        """A generator of its own for one use of random numbers at this moment."""
        return np.random.default_rng(self._entropy(stream))

    def torch_seed(self, stream: str) -> int:
        """A 63-bit seed for one use of random numbers at this moment."""
        return int(np.random.SeedSequence(self._entropy(stream)).generate_state(1, np.uint64)[0] >> 1)

    def whole(self, count: int) -> tuple[int, slice]:
        """Samples of the whole batch, and which of them the ``count`` at hand are.

        What is random about a sample is drawn for the whole batch, so it does not depend on the parts that the batch is
        learnt in, nor on the processes that share it.
        """
        return self.samples or count, slice(self.first, self.first + count)

    def torch_generator(self, stream: str) -> torch.Generator:
        """A CPU generator of its own for one use of random numbers at this moment."""
        import torch

        return torch.Generator().manual_seed(self.torch_seed(stream))


def stage_number(stage: str, without: Sequence[int]) -> int:
    """A number for each stage and set of folds left out; presets share it, so that their students see the same samples.

    Args:
        stage: ``teachers``, ``student`` or ``localiser``, or one of `PRETRAINING`.
        without: Folds, rising; none for `PRETRAINING`, whose numbers lie beyond all others.
    """
    stages = ("teachers", "student", "localiser")
    if stage in PRETRAINING:
        return len(stages) * MOST_FOLDS * (MOST_FOLDS + 2) + PRETRAINING.index(stage)
    folds = sum((fold + bool(place)) * MOST_FOLDS**place for place, fold in enumerate(without))
    return folds * len(stages) + stages.index(stage)
