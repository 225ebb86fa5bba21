"""What the page says in words and numbers: facts, folds, decisions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import CaseFingerprint, ScanInfo
from reactkd_auto.plan import Plan
from reactkd_auto.planning.report.groups import Group, by_class
from reactkd_auto.planning.table import LABELS, value_text
from reactkd_auto.splits import Splits

UNNAMED = "–"


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
    sites = len({c.site for c in cases if c.site})
    of_sites = f", {sites} site{'' if sites == 1 else 's'}" if sites else ""
    return [
        (f"{len(cases)}", "cases", f"{len(graded)} graded{ungraded}"),
        (f"{len({c.patient for c in cases})}", "patients", f"in {splits.folds} folds{of_sites}"),
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


def scanners(cases: Sequence[CaseFingerprint]) -> list[tuple[str, str, str, str, int]]:
    """(site, scanner, kernel, tube voltage, cases) as far as label table and sidecars name them, most frequent first.

    Empty where they name none.
    """
    counts = Counter(_origin(c) for c in cases)
    if set(counts) <= {(UNNAMED,) * 4}:
        return []
    return [(*what, count) for what, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def _origin(case: CaseFingerprint) -> tuple[str, str, str, str]:
    scan = case.scan or ScanInfo()
    voltage = f"{scan.kilovolts:g} kV" if scan.kilovolts else ""
    site, scanner, kernel, tube = (text or UNNAMED for text in (case.site, scan.scanner, scan.kernel, voltage))
    return site, scanner, kernel, tube
