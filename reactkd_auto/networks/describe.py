"""How large a network is, and how much work one sample costs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan
from reactkd_auto.regions.slots import node_slots

from .localiser import Localiser
from .outputs import GraphInputs
from .pooling import area_average, map_stages
from .student import Student
from .teachers import Teachers


def describe(network: nn.Module, plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """Parameters and floating-point operations, in all and by part.

    Args:
        network: `Teachers`, `Student` or `Localiser`, on any device; it is not changed.
        plan: It was built from.
        dataset: It was built from.

    Returns:
        ``{"parameters": int, "flops": int, "parts": {name: {"parameters": int, "flops": int}}}``. FLOPs are those of
        the convolutions and matrix products of one forward pass of one sample (a multiply-add counts as two), with
        every channel present, counted on shapes alone: nothing is computed.
    """
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(network).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*_inputs(network, plan, dataset))
    by_module = counter.get_flop_counts()
    parts = {
        name: {
            "parameters": _parameters(part),
            "flops": int(sum(by_module.get(f"{type(network).__name__}.{name}", {}).values())),
        }
        for name, part in _parts(network)
    }
    return {"parameters": _parameters(network), "flops": int(counter.get_total_flops()), "parts": parts}


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Children by name; those of a container one by one, such as ``readouts.dose``, ``privileged.1`` (by channel)."""
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleDict):
            yield from ((f"{name}.{key}", part) for key, part in child.items())
        else:
            yield name, child


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _inputs(network: nn.Module, plan: Plan, dataset: Dataset) -> tuple[Any, ...]:
    if isinstance(network, Localiser):
        return (_empty(1, *plan.localiser.patch_size),)
    graph = _graph(plan, dataset)
    channels = len(dataset.channels) if isinstance(network, Teachers) else _student_channels(network)
    image, valid = _empty(channels, *plan.patch_size), _empty(channels, *plan.patch_size, dtype=torch.bool)
    present = _empty(channels, dtype=torch.bool)
    if isinstance(network, Teachers):
        return image, _empty(1, *plan.patch_size), present, valid, graph
    return image, present, valid, graph


def _student_channels(network: nn.Module) -> int:
    assert isinstance(network, Student)
    return 1 if network.presence is None else len(network.presence.tokens) + 1


def _graph(plan: Plan, dataset: Dataset) -> GraphInputs:
    network, nodes = plan.network, len(node_slots(plan.graph, dataset))
    stages = map_stages(network)
    patch = plan.patch_size
    return GraphInputs(
        masks=tuple(area_average(_empty(nodes, *patch), network, s) for s in stages if s in network.pooled_stages),
        weights=tuple(area_average(_empty(1, *patch), network, s) for s in stages),
        node_valid=_empty(nodes, dtype=torch.bool),
        geometry=_empty(nodes, 6),
        edges=_empty(nodes, nodes),
    )


def _empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """One sample's tensor without values."""
    return torch.empty(1, *shape, dtype=dtype, device="meta")
