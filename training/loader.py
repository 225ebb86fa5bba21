"""Batches from disk: batchgenerators loads and schedules, in this process on a CPU, in several beside a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from batchgenerators.dataloading.data_loader import SlimDataLoaderBase
from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

from reactkd_auto.cases import CaseProperties, read_case
from reactkd_auto.dataset import Dataset
from reactkd_auto.execution import usable_cores
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing.batch import Batch, collate
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.training.automatic_regions import AutomaticRegions, with_automatic
from reactkd_auto.training.sampling import draw_epoch
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import Moment

LARGEST_NUMBER_OF_WORKERS = 12
WAITING_A_WORKER = 2
"""Batches that each worker may leave in its queue."""
Arrays = dict[str, Any]


@dataclass(frozen=True)
class Feed:
    """What a stage is fed with.

    Attributes:
        cases: To draw from.
        batch_size: Of each iteration.
        balanced: Whether classes get equal shares of an epoch.
        load: Makes one batch, as a dictionary of tensors, of these cases at this moment.
    """

    cases: tuple[CaseProperties, ...]
    batch_size: int
    balanced: bool
    load: Callable[[list[CaseProperties], Moment], Arrays]


class FeedLoader(SlimDataLoaderBase):
    """Batch i of a stage is the same whichever process makes it and wherever the run was resumed.

    Worker w of n makes batches first + w, first + w + n, …; batchgenerators asks the workers in turn. Of several
    ``ranks``, each loads its share of every batch.
    """

    def __init__(
        self, feed: Feed, schedule: Schedule, *, seed: int, stage: int, first: int, workers: int, ranks: Ranks = ALONE
    ) -> None:
        super().__init__(feed, feed.batch_size, workers)
        self.ranks = ranks
        self.schedule, self.seed, self.stage = schedule, seed, stage
        self.first, self.made = first, 0
        self._epoch: tuple[int, list[CaseProperties]] | None = None

    def generate_train_batch(self) -> Arrays:
        """The next batch of this worker."""
        iteration = self.first + self.thread_id + self.made * self.number_of_threads_in_multithreaded
        if iteration >= self.schedule.total:
            raise StopIteration
        self.made += 1
        epoch, within = divmod(iteration, self.schedule.iterations)
        begin = within * self.batch_size
        share = self.ranks.share(self.batch_size)
        cases = self._order(epoch)[begin : begin + self.batch_size][share]
        progress = iteration / self.schedule.total
        moment = Moment(self.seed, self.stage, epoch, within, progress, share.start, self.batch_size)
        arrays: Arrays = self._data.load(cases, moment)
        return arrays

    def _order(self, epoch: int) -> list[CaseProperties]:
        if self._epoch is None or self._epoch[0] != epoch:
            count = self.schedule.iterations * self.batch_size
            generator = Moment(self.seed, self.stage, epoch).numpy_generator("sampling")
            feed = self._data
            self._epoch = epoch, draw_epoch(feed.cases, count, balanced=feed.balanced, generator=generator)
        return self._epoch[1]


def stream(
    feed: Feed, schedule: Schedule, *, seed: int, stage: int, first: int, device: torch.device, ranks: Ranks = ALONE
) -> Generator[Arrays, None, None]:
    """Batches (of several ranks: this one's shares) from iteration ``first`` on, as dictionaries of tensors.

    They are pinned where the device is CUDA.
    """
    workers = _workers(device, ranks)
    loader = FeedLoader(feed, schedule, seed=seed, stage=stage, first=first, workers=max(1, workers), ranks=ranks)
    if not workers:
        yield from SingleThreadedAugmenter(loader, None)
        return
    augmenter = MultiThreadedAugmenter(loader, None, workers, WAITING_A_WORKER, pin_memory=True)
    try:
        yield from augmenter
    finally:
        augmenter._finish()


def most_loaded_ahead(device: torch.device, ranks: Ranks = ALONE) -> int:
    """Batches of a `stream` that can have been loaded before anybody asks for them.

    Each worker's queue and the batch in its hand, batchgenerators' queue of pinned
    batches and the one on its way there.
    """
    workers = _workers(device, ranks)
    return workers * (WAITING_A_WORKER + 1) + max(3, workers * WAITING_A_WORKER // 2) + 1 if workers else 0


def case_feed(
    folder: Path,
    cases: list[CaseProperties],
    plan: Plan,
    dataset: Dataset,
    *,
    balanced: bool,
    automatic: Mapping[str, AutomaticRegions] | None = None,
) -> Feed:
    """Whole preprocessed cases as `Batch` fields, and the cases' ``names``; with their ``automatic`` nodes at times."""

    def load(chosen: list[CaseProperties], moment: Moment) -> Arrays:
        samples = with_automatic([read_case(folder, c) for c in chosen], automatic or {}, moment)
        batch = collate(samples, plan, dataset)
        return {"names": [c.case for c in chosen], **vars(batch)}

    return Feed(tuple(cases), plan.batch_size, balanced, load)


def split(arrays: Arrays, *, parts: int) -> list[tuple[Arrays, int]]:
    """A batch in parts whose sizes differ by at most one, each with its number of samples."""
    arrays = {name: values for name, values in arrays.items() if values is not None}
    samples = len(next(iter(arrays.values())))
    ends = [samples * i // parts for i in range(parts + 1)]
    return [
        ({name: values[begin:end] for name, values in arrays.items()}, end - begin)
        for begin, end in itertools.pairwise(ends)
        if end > begin
    ]


def to_batch(arrays: Arrays, device: torch.device) -> Batch:
    """A `Batch` on the device."""
    return Batch(**{name: value for name, value in arrays.items() if name != "names"}).to(device)


def _workers(device: torch.device, ranks: Ranks) -> int:
    """Processes that load; 0: this one does."""
    if device.type != "cuda":
        return 0
    return max(1, min(LARGEST_NUMBER_OF_WORKERS, usable_cores() // ranks.count - 1))
