"""From loaded arrays to what the networks of a stage take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from reactkd_auto.cases import CaseProperties, read_case
from reactkd_auto.dataset import Dataset
from reactkd_auto.networks import GraphInputs, graph_inputs
from reactkd_auto.plan import Plan
from reactkd_auto.preprocessing.batch import Batch, collate
from reactkd_auto.training.augment import Views, apply
from reactkd_auto.training.augment_params import identity_params, make_params
from reactkd_auto.training.covariates import hide_covariates
from reactkd_auto.training.loader import Arrays, to_batch
from reactkd_auto.training.seeding import Moment


@dataclass(frozen=True)
class Inputs:
    """What the networks of a stage are given of a batch.

    Attributes:
        names: Of the cases.
        views, graph: The augmented samples and their regions.
        present: bool (B, C), channels of the network in training that are not hidden from it; on the CPU.
    """

    names: Sequence[str]
    views: Views
    graph: GraphInputs
    present: Tensor


def training_views(
    arrays: Arrays, moment: Moment, *, plan: Plan, dataset: Dataset, device: torch.device, doses: int
) -> tuple[Views, GraphInputs, torch.Generator]:
    """An augmented batch, its regions, and the generator for what else is random at this moment."""
    generator = moment.torch_generator("augmentation")
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        batch = to_batch(arrays, device)
        samples, place = moment.whole(len(batch.label))
        params = make_params(generator, samples, plan=plan, dataset=dataset, doses=doses).rows(place)
        views = replace(
            apply(batch, params, plan=plan, dataset=dataset),
            present=arrays["present"],
            covariates=hide_covariates(batch.covariates, generator, whole=(samples, place)),
        )
        return views, regions_of(views, plan, dataset), generator


def regions_of(views: Views, plan: Plan, dataset: Dataset) -> GraphInputs:
    """Soft regions on the networks' grids."""
    return graph_inputs(views.nodes, views.valid, views.node_valid, views.geometry, views.edges, plan, dataset)


def held_out_batches(
    folder: Path, cases: Sequence[CaseProperties], *, plan: Plan, dataset: Dataset, device: torch.device
) -> Iterator[tuple[list[str], Batch]]:
    """Names and stored arrays of the cases, in order, as many at once as training holds."""
    for begin in range(0, len(cases), plan.held_at_once):
        chosen = cases[begin : begin + plan.held_at_once]
        yield [c.case for c in chosen], collate([read_case(folder, c) for c in chosen], plan, dataset).to(device)


def plain_views(batch: Batch, *, plan: Plan, dataset: Dataset) -> Views:
    """The centre of the stored arrays at full dose, unchanged."""
    params = identity_params(len(batch.label), channels=len(dataset.channels), doses=1)
    return apply(batch, params, plan=plan, dataset=dataset)


def any_privileged(present: Tensor) -> Tensor:
    """bool (B,): whether a sample has a channel beyond the base."""
    return present[:, 1:].any(1)
