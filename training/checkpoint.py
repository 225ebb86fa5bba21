"""``latest.pt``: what continues an interrupted stage exactly. Tensors and plain values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import atomic_path

RESTART = "--restart of reactkd_train (of encoders: reactkd_pretrain)"
"""What begins anew; other commands, such as reactkd_ablate, have no such option."""


@dataclass
class TrainingState:
    """Everything that changes while a stage is trained.

    Random states are not needed: each iteration's random numbers are a function of its number (`seeding.Moment`).

    Attributes:
        settings: What the stage was begun with; a run with other settings must not continue it.
        iteration: Iterations done, over all epochs.
        model, ema, optimiser: State dictionaries.
        sums: Of the losses since the epoch began.
        seconds: Spent in the epoch so far.
        waiting: Of these, for batches.
        history: One row of metrics a finished epoch.
    """

    settings: dict[str, Any]
    iteration: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    ema: dict[str, Any] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    waiting: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def write_state(path: Path, state: TrainingState) -> None:
    """Write ``latest.pt`` atomically."""
    values = {f.name: getattr(state, f.name) for f in fields(state)}
    with atomic_path(path, failures=(RuntimeError,)) as temporary:
        torch.save(values, temporary)


def read_state(path: Path, settings: dict[str, Any]) -> TrainingState | None:
    """Read ``latest.pt``; None where there is none yet.

    Raises:
        UserError: It is broken, or was begun with other settings.
    """
    if not path.exists():
        return None
    try:
        state = TrainingState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise UserError(f"{path}: not a readable training state ({error}); use {RESTART} to begin anew.") from error
    check_settings(path, state.settings, settings)
    return state


def check_settings(
    path: Path, found: dict[str, Any], expected: dict[str, Any], *, only: Sequence[str] | None = None
) -> None:
    """Refuse to continue or reuse what was trained with other settings (or others of ``only`` these names).

    Raises:
        UserError: Naming the first difference.
    """
    for name in sorted(set(found) | set(expected)) if only is None else only:
        if found.get(name) != expected.get(name):
            raise UserError(
                f"{path}: was trained with {name} {found.get(name)}, this run expects {expected.get(name)}; "
                f"use the same, or {RESTART} to begin anew."
            )
