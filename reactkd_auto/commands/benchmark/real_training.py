"""Training on cases as they come from disk, against the same steps on random samples that lie on the device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import torch

from reactkd_auto.training.loader import Arrays, case_feed, most_loaded_ahead, stream
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule

from .measuring import Spread

AS_OFTEN = 2
"""Timed steps for each batch that can have been loaded ahead, as many as that being done untimed before."""


@dataclass(frozen=True)
class RealTraining:
    """Two loops over steps on batches of the same cases.

    Attributes:
        samples: In a batch.
        steps: Timed, of either loop.
        untimed: Before them, which use up what was loaded ahead.
        real_seconds, resident_seconds: Of all timed steps together.
        load_ms: Of each timed step, how long its batch was waited for.
    """

    samples: int
    steps: int
    untimed: int
    real_seconds: float
    resident_seconds: float
    load_ms: Spread

    @property
    def samples_per_second(self) -> float:
        """Of the real loop, over its whole time."""
        return self.samples * self.steps / self.real_seconds

    @property
    def share(self) -> float:
        """Samples a second of the real loop, of those of the other one."""
        return self.resident_seconds / self.real_seconds


@dataclass(frozen=True)
class Loops:
    """What the loops do.

    Attributes:
        learn: A whole step on a batch.
        resident: A batch that lies on the device.
        untimed, steps: First so many steps, then so many that are timed (at least one).
        device: It is waited for only before the first timed step and after the last one.
    """

    learn: Callable[[Arrays], None]
    resident: Arrays
    untimed: int
    steps: int
    device: torch.device

    def compare(self, batches: Iterator[Arrays]) -> RealTraining:
        """One loop on ``batches``, one on the resident batch in place of their images.

        Whose cases they are and which channels these have decides what is computed, so both loops are told the same.
        """
        seen: list[Arrays] = []
        real_seconds, waited = self._run(self._noting(batches, seen))
        resident_seconds, _ = self._run({**self.resident, **of_case} for of_case in seen)
        load = Spread.of(waited).scaled(1e3)
        samples = len(self.resident["names"])
        return RealTraining(samples, self.steps, self.untimed, real_seconds, resident_seconds, load)

    @staticmethod
    def _noting(batches: Iterator[Arrays], seen: list[Arrays]) -> Iterator[Arrays]:
        for arrays in batches:
            seen.append({name: arrays[name] for name in ("names", "present")})
            yield arrays

    def _run(self, batches: Iterator[Arrays]) -> tuple[float, list[float]]:
        """Seconds of the timed steps together, and how long each one's batch was waited for."""
        for _ in range(self.untimed):
            self.learn(next(batches))
        self._wait_for_device()
        began, waited = time.perf_counter(), []
        for _ in range(self.steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited.append(time.perf_counter() - asked)
            self.learn(batch)
        self._wait_for_device()
        return time.perf_counter() - began, waited

    def _wait_for_device(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def train_on_real_cases(
    learn: Callable[[Arrays], None], resident: Arrays, run: Run, *, fold: int, fewest: int
) -> RealTraining:
    """Both loops on the cases that a fold's student is trained on, loaded as in training but for the localiser's maps.

    They are long enough that batches which were loaded ahead cannot hide a slow loader.

    Args:
        learn: A whole step on a batch.
        resident: A batch of the planned size that lies on the device.
        run: Of the cohort.
        fold: Of the student.
        fewest: Timed steps, at least.
    """
    ahead = most_loaded_ahead(run.device)
    untimed, steps = max(1, ahead), max(fewest, AS_OFTEN * ahead)
    balanced = run.plan.class_balance == "balanced_sampling"
    feed = case_feed(run.case_folder, run.training_cases(fold), run.plan, run.dataset, balanced=balanced)
    # Beyond the last timed step loading goes on, as it does in training.
    schedule = Schedule(1, untimed + steps + ahead, 1e-3, 0.0, 0.9)
    loops = Loops(learn, resident, untimed, steps, run.device)
    with closing(stream(feed, schedule, seed=run.seed, stage=0, first=0, device=run.device)) as batches:
        return loops.compare(batches)
