"""The same patients asked again under other conditions: doses, channels, regions; each compared with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .estimate import Estimate
from .sample import is_classified, is_graded
from .seeds import compare_recipes
from .tables import read_joined

SweepKind = Literal["dose", "channels", "regions"]


@dataclass(frozen=True)
class SweepPoint:
    """One condition.

    Attributes:
        name: What the page calls it, such as ``25 %`` or ``CT + PET``.
        dose: Its dose fraction, in a sweep of doses.
        n_not_classified: Graded cases of the sweep that it gave no answer to.
        macro_auc: On the cases that were classified under every condition.
        difference: Macro AUC less the reference's, paired; None for the reference.
        p_value: Two-sided bootstrap p of no difference; None where there is none.
    """

    name: str
    dose: float | None
    n_not_classified: int
    macro_auc: Estimate
    difference: Estimate | None
    p_value: float | None


@dataclass(frozen=True)
class Sweep:
    """All conditions of one kind on the same patients.

    Attributes:
        kind: What changes.
        reference: Name of the point that the others are compared with.
        n_cases, n_patients: Graded cases that were classified under every condition: what the AUCs are made of.
        n_left_out: Graded cases that only some conditions got an answer to.
        points: The reference first.
    """

    kind: SweepKind
    reference: str
    n_cases: int
    n_patients: int
    n_left_out: int
    points: tuple[SweepPoint, ...]


@dataclass(frozen=True)
class SweepTables:
    """Where a sweep's answers lie.

    Attributes:
        kind: What changes.
        predictions: ``predictions.csv`` by name of the condition, the reference first.
        doses: Dose fractions by name, in a sweep of doses.
    """

    kind: SweepKind
    predictions: Mapping[str, Path]
    doses: Mapping[str, float] | None = None


def evaluate_sweep(
    tables: SweepTables, labels: Path, classes: Sequence[str], *, dataset_json: Path | None, seed: int
) -> Sweep:
    """Macro AUC under each condition and its paired difference to the reference; see `seeds.compare_recipes`.

    Args:
        tables: The answers.
        labels: Table of labels.
        classes: Class names.
        dataset_json: Says the classes and whether they are ordered.
        seed: Seed of the bootstrap.

    Raises:
        UserError: A table cannot be read, or it doesn't fit the others or the labels.
    """
    joined = {
        name: read_joined(path, labels, dataset_json=dataset_json).table for name, path in tables.predictions.items()
    }
    reference = next(iter(joined))
    found = compare_recipes({name: {0: t} for name, t in joined.items()}, classes, reference=reference, seed=seed)
    points = tuple(
        SweepPoint(
            name=score.name,
            dose=None if tables.doses is None else tables.doses[score.name],
            n_not_classified=_unanswered(joined[score.name]),
            macro_auc=score.auc,
            difference=score.difference,
            p_value=score.p_value,
        )
        for score in found.recipes
    )
    return Sweep(tables.kind, reference, found.n_cases, found.n_patients, found.n_left_out, points)


def _unanswered(table: Any) -> int:
    return int((is_graded(table) & ~is_classified(table)).sum())
