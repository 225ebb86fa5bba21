"""The plan as a table for people: value and reason of every decision."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

from reactkd_auto.plan import GIGABYTE, Plan, StepCost

LABELS = {
    "device": "device",
    "gpu_memory_gb": "GPU memory, GB",
    "seed": "seed",
    "spacing_mm": "spacing z y x, mm",
    "patch_size": "patch z y x, voxels",
    "context_voxels": "context z y x, voxels",
    "zoomed_cases": "zoomed cases",
    "batch_size": "batch size",
    "accumulation_steps": "parts of a batch",
    "checkpointing": "activation checkpointing",
    "normalisation": "normalisation",
    "network": "network",
    "graph": "region graph",
    "dose": "dose degradation",
    "structure_function_teacher": "structure-function teacher",
    "localiser": "localiser",
    "augmentation": "augmentation",
    "class_balance": "class balance",
    "folds": "folds",
    "training": "training",
    "cost": "memory and work of a step",
}
"""Fields in reading order."""


def plan_table(plan: Plan, *, width: int = 120) -> str:
    """The plan as text: what, value, reason, wrapped to ``width`` characters."""
    columns = (max(map(len, LABELS.values())), 36)
    rest = max(30, width - sum(columns) - 4)
    lines = [f"Plan {plan.name!r} of {plan.dataset} ({plan.hash})", "─" * width]
    for field, label in LABELS.items():
        reason = plan.reasons.get(field, "")
        user = field in plan.chosen_by_user and "chosen by the user" not in reason
        cells = (label, value_text(getattr(plan, field)), f"{reason} (chosen by the user)" if user else reason)
        wrapped = [textwrap.wrap(cell, w) or [""] for cell, w in zip(cells, (*columns, rest), strict=True)]
        for row in range(max(map(len, wrapped))):
            parts = (cell[row] if row < len(cell) else "" for cell in wrapped)
            padded = (part.ljust(w) for part, w in zip(parts, (*columns, rest), strict=True))
            lines.append("  ".join(padded).rstrip())
    return "\n".join([*lines, "─" * width]) + "\n"


def value_text(value: Any) -> str:
    """A planned value in words, on one line."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    if isinstance(value, StepCost):
        return cost_text(value)
    if dataclasses.is_dataclass(value):
        return ", ".join(f"{f.name} {value_text(getattr(value, f.name))}" for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return "; ".join(f"{k}: {value_text(v)}" for k, v in value.items())
    if isinstance(value, tuple):
        plain = all(isinstance(v, (int, float)) for v in value)
        return (" " if plain else ", ").join(value_text(v) for v in value) or "none"
    return str(value)


def cost_text(cost: StepCost) -> str:
    """Peak memory, what it is made of (from 1 % on, largest first), and work."""
    parts = {f.name: getattr(cost, f.name) for f in dataclasses.fields(cost) if f.name not in ("peak", "flops")}
    large = sorted((name for name in parts if parts[name] >= cost.peak / 100), key=lambda name: -parts[name])
    listed = ", ".join(f"{name} {parts[name] / GIGABYTE:.2f}" for name in large)
    return f"{cost.peak / GIGABYTE:.2f} GB ({listed}); {cost.flops / 1e12:.2g} TFLOP"
