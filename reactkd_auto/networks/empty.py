"""Inputs without values, on the meta device: for counting what networks need."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan
from reactkd_auto.regions.slots import node_slots

from .localiser import Localiser
from .outputs import GraphInputs
from .pooling import map_stages
from .student import Student
from .teachers import Teachers


def empty_inputs(network: nn.Module, plan: Plan, dataset: Dataset, *, samples: int = 1) -> tuple[Any, ...]:
    """What `Teachers`, `Student` or `Localiser` are called with, every channel present, of the planned shapes."""
    if isinstance(network, Localiser):
        return (empty(samples, 1, *plan.localiser.patch_size),)
    graph = _graph(plan, dataset, samples)
    channels = len(dataset.channels) if isinstance(network, Teachers) else _student_channels(network)
    image = empty(samples, channels, *plan.patch_size)
    valid = empty(samples, channels, *plan.patch_size, dtype=torch.bool)
    present = empty(samples, channels, dtype=torch.bool)
    if isinstance(network, Teachers):
        return image, empty(samples, 1, *plan.patch_size), present, valid, graph
    return image, present, valid, graph


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor without values."""
    return torch.empty(*shape, dtype=dtype, device="meta")


def _student_channels(network: nn.Module) -> int:
    assert isinstance(network, Student)
    return 1 if network.presence is None else len(network.presence.tokens) + 1


def _graph(plan: Plan, dataset: Dataset, samples: int) -> GraphInputs:
    network, nodes = plan.network, len(node_slots(plan.graph, dataset))
    stages = map_stages(network)
    grids = {
        stage: [n // s for n, s in zip(plan.patch_size, network.cumulative_stride(stage), strict=True)]
        for stage in stages
    }
    return GraphInputs(
        masks=tuple(empty(samples, nodes, *grids[stage]) for stage in stages if stage in network.pooled_stages),
        weights=tuple(empty(samples, 1, *grids[stage]) for stage in stages),
        node_valid=empty(samples, nodes, dtype=torch.bool),
        geometry=empty(samples, nodes, 6),
        edges=empty(samples, nodes, nodes),
    )
