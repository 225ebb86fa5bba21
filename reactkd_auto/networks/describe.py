"""How large a network is, and how much work one sample costs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from reactkd_auto.dataset import Dataset
from reactkd_auto.plan import Plan

from .empty import empty_inputs


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
        shadow(*empty_inputs(network, plan, dataset))
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
