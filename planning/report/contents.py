"""What the page says in words and numbers: facts, folds, decisions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.plan import Plan
from reactkd_auto.planning.report.groups import Group, by_class
from reactkd_auto.planning.table import LABELS, value_text
from reactkd_auto.splits import Splits


@dataclass(frozen=True)
class Decision:
    """A planned value: what, (part, value) lines (part empty for a plain value), why, and whether the user chose it."""

    field: str
    label: str
    lines: tuple[tuple[str, str], ...]
    reason: str
    by_user: bool


@dataclass(frozen=True)
class Fold:
    """A row of the table of folds: its name, its cases by class, and how many have each privileged channel."""

    name: str
    groups: tuple[Group, ...]
    cases: int
    patients: int
    channels: tuple[int, ...]


def decisions(plan: Plan) -> list[Decision]:
    """Every planned value in reading order."""
    return [
        Decision(f, label, value_lines(getattr(plan, f)), plan.reasons.get(f, ""), f in plan.chosen_by_user)
        for f, label in LABELS.items()
    ]


def value_lines(value: Any) -> tuple[tuple[str, str], ...]:
    """A planned value part by part."""
    if dataclasses.is_dataclass(value):
        return tuple((f.name.replace("_", " "), value_text(getattr(value, f.name))) for f in dataclasses.fields(value))
    if isinstance(value, dict):
        return tuple((name, value_text(part)) for name, part in value.items())
    return (("", value_text(value)),)


def facts(cases: Sequence[CaseFingerprint], dataset: Dataset, plan: Plan, splits: Splits) -> list[tuple[str, str, str]]:
    """(number, what it counts, detail) of the page's first row."""
    graded = [c for c in cases if c.label is not None]
    extent = " × ".join(f"{n * s:.0f}" for n, s in zip(plan.patch_size, plan.spacing_mm, strict=True))
    ungraded = f", {len(cases) - len(graded)} ungraded" if len(graded) < len(cases) else ""
    lesions = sum(len(c.lesion_volumes_mm3) for c in cases)
    marked = sum(c.region_extent_mm is not None for c in cases)
    return [
        (f"{len(cases)}", "cases", f"{len(graded)} graded{ungraded}"),
        (f"{len({c.patient for c in cases})}", "patients", f"in {splits.folds} folds"),
        (f"{len(dataset.classes)}", "classes", "in order of grade" if dataset.classes_ordered else "without order"),
        (f"{len(dataset.channels)}", "channels", ", ".join(c.name for c in dataset.channels)),
        (f"{lesions}", "lesions", f"{marked} of {len(cases)} cases have regions"),
        (f"{extent} mm", "field of view of the networks", f"{value_text(plan.patch_size)} voxels, z y x"),
    ]


def folds(cases: Sequence[CaseFingerprint], splits: Splits, dataset: Dataset) -> list[Fold]:
    """Each fold's cases, and those that are always trained on."""
    rows = []
    for fold in sorted(set(range(splits.folds)) | set(splits.assignment.values()), key=lambda f: (f < 0, f)):
        own = [c for c in cases if splits.assignment.get(c.case) == fold]
        rows.append(
            Fold(
                name=str(fold) if fold >= 0 else "always trained on",
                groups=tuple(by_class(own, dataset)),
                cases=len(own),
                patients=len({c.patient for c in own}),
                channels=tuple(sum(c.present[i] for c in own) for i in dataset.privileged),
            )
        )
    return rows


def scanners(cases: Sequence[CaseFingerprint]) -> list[tuple[str, str, str, int]]:
    """(scanner, kernel, tube voltage, cases) as sidecar files name them, most frequent first; empty without any."""
    named = [c.scan for c in cases if c.scan is not None]
    counts = Counter((s.scanner or "–", s.kernel or "–", f"{s.kilovolts:g} kV" if s.kilovolts else "–") for s in named)
    if counts and len(named) < len(cases):
        counts[("no sidecar", "–", "–")] = len(cases) - len(named)
    return [(*what, count) for what, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
