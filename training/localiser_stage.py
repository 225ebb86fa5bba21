"""The localiser: trained with the teachers, so that prediction finds the regions of a CT that comes without them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reactkd_auto.cases import CaseProperties, read_coarse
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import LOCALISER_BATCH_SIZE, Localiser, build_localiser
from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.plan import Plan, Triple
from reactkd_auto.preprocessing.normalise import normalise
from reactkd_auto.training.loader import Arrays, Feed
from reactkd_auto.training.losses import dice_and_cross_entropy
from reactkd_auto.training.run import Run
from reactkd_auto.training.schedule import Schedule
from reactkd_auto.training.seeding import Moment

WEIGHTS = "localiser.safetensors"
LEARNING_RATE = 4e-3
MOST_ITERATIONS = 600
ITERATIONS_FACTOR = 3
MOST_WATCHED_CASES = 6
HU_SHIFT = 20.0


class LocaliserTask:
    """Losses of one step (see `loop.Task`): Dice and cross-entropy of the regions at coarse spacing."""

    def __init__(
        self,
        localiser: Localiser,
        *,
        plan: Plan,
        dataset: Dataset,
        case_folder: Path,
        watched: Sequence[CaseProperties],
        device: torch.device,
    ) -> None:
        self.module = localiser
        self.plan, self.dataset, self.case_folder, self.device = plan, dataset, case_folder, device
        self.watched = watched
        self.weights = {"loss": 1.0}

    def prepare(self, arrays: Arrays, moment: Moment) -> tuple[Tensor, Tensor]:
        """Normalised image and classes of its voxels; what is random about them was drawn as they were loaded."""
        image = arrays["image"].to(self.device, non_blocking=True)
        return self._normalised(image), arrays["labels"].to(self.device, non_blocking=True)

    def counts(self, inputs: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Nothing: every sample counts."""
        return {}

    def step(self, inputs: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Loss of one part."""
        image, labels = inputs
        return {"loss": dice_and_cross_entropy(self.module(image), labels)}

    @torch.no_grad()
    def watch(self, average: torch.nn.Module) -> dict[str, float]:
        """Mean Dice of each region over those of a few whole held-out images that have it."""
        scores: dict[str, list[float]] = {}
        for case in self.watched:
            image, labels = read_pair(self.case_folder, case, self.plan, self.dataset)
            tensor = torch.from_numpy(image)[None, None].to(self.device)
            with mixed_precision(self.device):
                found = average(self._normalised(tensor)).argmax(1)[0].cpu().numpy()
            for i, region in enumerate(self.dataset.regions, start=1):
                if (labels == i).any():
                    overlap = 2 * ((found == i) & (labels == i)).sum() / ((found == i).sum() + (labels == i).sum())
                    scores.setdefault(f"held_out_dice_{region.name}", []).append(float(overlap))
        return {name: float(np.mean(values)) for name, values in scores.items()}

    def _normalised(self, image: Tensor) -> Tensor:
        return normalise(image, self.dataset, self.plan, channels=(self.dataset.base.name,))


def new_task(run: Run, held_out: Sequence[CaseProperties]) -> LocaliserTask:
    """A fresh localiser."""
    localiser = build_localiser(run.plan, run.dataset, seed=run.seed, channels_last=True).to(run.device)
    watched = with_regions(run.case_folder, run.dataset, held_out[: 2 * MOST_WATCHED_CASES])[:MOST_WATCHED_CASES]
    return LocaliserTask(
        localiser, plan=run.plan, dataset=run.dataset, case_folder=run.case_folder, watched=watched, device=run.device
    )


def localiser_schedule(usual: Schedule) -> Schedule:
    """The usual epochs, of three times their iterations (small lesions come last), but at most 600 in all."""
    epochs = min(usual.epochs, MOST_ITERATIONS)
    iterations = max(1, min(ITERATIONS_FACTOR * usual.iterations, MOST_ITERATIONS // epochs))
    return Schedule(epochs, iterations, LEARNING_RATE, usual.weight_decay, usual.ema_decay)


def with_regions(folder: Path, dataset: Dataset, cases: Sequence[CaseProperties]) -> list[CaseProperties]:
    """Cases that have a coarse image with at least one region."""
    values = [r.value for r in dataset.regions]
    found = []
    for case in cases:
        coarse = read_coarse(folder, case.case)
        if coarse is not None and bool(np.isin(coarse[1], values).any()):
            found.append(case)
    return found


def localiser_feed(folder: Path, cases: Sequence[CaseProperties], plan: Plan, dataset: Dataset) -> Feed:
    """Randomly shifted crops of the coarse images, HU shifted at random."""

    def load(chosen: list[CaseProperties], moment: Moment) -> Arrays:
        generator = moment.numpy_generator("localiser")
        images, labels = [], []
        for case in chosen:
            image, label = read_pair(folder, case, plan, dataset)
            window = place(image.shape, plan.localiser.patch_size, generator)
            shift = HU_SHIFT * generator.uniform(-1, 1) if dataset.base.role == "ct" else 0.0
            images.append(cut(image, window) + np.float32(shift))
            labels.append(cut(label, window))
        return {"image": torch.from_numpy(np.stack(images)[:, None]), "labels": torch.from_numpy(np.stack(labels))}

    return Feed(tuple(cases), min(LOCALISER_BATCH_SIZE, len(cases)), False, load)


def read_pair(
    folder: Path, case: CaseProperties, plan: Plan, dataset: Dataset
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Coarse base image in real units and class of each voxel (0 background, then regions in order)."""
    coarse = read_coarse(folder, case.case)
    assert coarse is not None
    table = np.zeros(256, dtype=np.int64)
    for i, region in enumerate(dataset.regions, start=1):
        table[region.value] = i
    scale = plan.normalisation[dataset.base.name].storage_scale
    return coarse[0].astype(np.float32) * np.float32(scale), table[coarse[1]]


def place(shape: tuple[int, ...], size: Triple, generator: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """(begin, end) of a window of ``size`` on each axis: inside the image, or round it where the image is smaller."""
    begins = [int(generator.integers(min(0, n - p), max(0, n - p) + 1)) for n, p in zip(shape, size, strict=True)]
    return tuple((b, b + p) for b, p in zip(begins, size, strict=True))


def cut(array: NDArray, window: tuple[tuple[int, int], ...]) -> NDArray:
    """The window of an array; beyond its ends the edge is replicated."""
    inside = tuple(slice(max(0, b), min(n, e)) for (b, e), n in zip(window, array.shape, strict=True))
    beyond = [(max(0, -b), max(0, e - n)) for (b, e), n in zip(window, array.shape, strict=True)]
    return np.pad(array[inside], beyond, mode="edge")
