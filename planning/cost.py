"""The predicted memory and work of training by a plan."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.networks.cost import training_cost
from reactkd_auto.plan import GIGABYTE, Plan, TrainingCost, read_plan


def with_cost(plan: Plan, dataset: Dataset, earlier: Path) -> Plan:
    """The plan with its predicted cost, taken from an ``earlier`` file where that holds the same plan."""
    cost = _known(plan, earlier) or training_cost(plan, dataset)
    return dataclasses.replace(plan, cost=cost, reasons={**plan.reasons, "cost": _reason(plan, cost)})


def _known(plan: Plan, path: Path) -> TrainingCost | None:
    try:
        earlier = read_plan(path) if path.is_file() else None
    except UserError:  # of another release
        return None
    return earlier.cost if earlier is not None and earlier.hash == plan.hash else None


def _reason(plan: Plan, cost: TrainingCost) -> str:
    counted = f"counted on the networks' shapes, {plan.held_at_once} samples at once"
    peak = f"at most {cost.peak / GIGABYTE:.2f} GB of tensors"
    if plan.device == "cpu":
        return f"{counted}, in float32: {peak}"
    return (
        f"{counted}, in the precision of autocast: {peak} in {plan.gpu_memory_gb:g} GB of GPU memory; the driver and "
        "cuDNN's workspace come on top"
    )
