"""Pretraining: an encoder learns to tell the regions of a CT apart, at the doses that the dose teacher sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import Segmenter, build_segmenter
from reactkd_auto.plan import EncoderPlan, Plan
from reactkd_auto.regions.slots import BASE_LAYER, Slot, node_slots
from reactkd_auto.training.augment import Views
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.losses import dice_and_cross_entropy
from reactkd_auto.training.run import Run
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.views import training_views

BACKGROUND, LESION = "background", "lesion"


class PretrainingTask:
    """Losses of one step (see `loop.Task`): Dice and cross-entropy of the regions at the patch's grid.

    Samples are augmented as the teachers' are, and the image is the one that their dose branch sees.
    """

    def __init__(self, segmenter: Segmenter, *, plan: Plan, dataset: Dataset, device: torch.device) -> None:
        self.module = segmenter
        self.plan, self.dataset, self.device = plan, dataset, device
        self.table = torch.tensor(_classes_of_nodes(plan, dataset), device=device)
        self.weights = {"loss": 1.0}

    def prepare(self, arrays: Arrays, moment: Moment) -> Views:
        """Augmented samples."""
        views, _, _ = training_views(arrays, moment, plan=self.plan, dataset=self.dataset, device=self.device, doses=1)
        return views

    def counts(self, views: Views) -> dict[str, Tensor]:
        """Nothing: every sample counts."""
        return {}

    def step(self, views: Views) -> dict[str, Tensor]:
        """Loss of one part, whose Dice is over its own samples."""
        return {"loss": dice_and_cross_entropy(self.module(views.doses), self.labels(views))}

    def watch(self, average: nn.Module) -> dict[str, float]:
        """Nothing: no case is held out."""
        return {}

    def labels(self, views: Views) -> Tensor:
        """(B, z, y, x), index of each voxel's class in `region_classes`; unmeasured voxels are background."""
        nodes = views.nodes[:, BASE_LAYER].long()
        return self.table[nodes] * views.valid[:, 0]


def new_task(run: Run, size: EncoderPlan) -> PretrainingTask:
    """A fresh encoder of this size with its head."""
    classes = len(region_classes(run.plan, run.dataset))
    segmenter = build_segmenter(run.built_plan, size, classes, seed=run.seed, channels_last=True)
    return PretrainingTask(segmenter.to(run.device), plan=run.plan, dataset=run.dataset, device=run.device)


def region_classes(plan: Plan, dataset: Dataset) -> tuple[str, ...]:
    """Names of what is told apart: background; organ, lesion (of any number) and each context region, as planned."""
    return tuple(dict.fromkeys([BACKGROUND, *map(_class_of, _base_slots(plan, dataset))]))


def _classes_of_nodes(plan: Plan, dataset: Dataset) -> list[int]:
    """Class of each value of a node map; only those of its base layer are looked up."""
    classes, table = region_classes(plan, dataset), [0] * (1 + len(node_slots(plan.graph, dataset)))
    for slot in _base_slots(plan, dataset):
        table[slot.index + 1] = classes.index(_class_of(slot))
    return table


def _class_of(slot: Slot) -> str:
    return LESION if slot.kind in ("lesion", "other_lesions") else slot.name


def _base_slots(plan: Plan, dataset: Dataset) -> Sequence[Slot]:
    return [slot for slot in node_slots(plan.graph, dataset) if slot.layer == BASE_LAYER]
