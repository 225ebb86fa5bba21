"""What a preprocessed case is made of, so that exactly what depends on a change is made again, and with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reactkd_auto.cases import read_properties
from reactkd_auto.errors import UserError
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.jsonio import content_hash
from reactkd_auto.plan import Plan

PREPROCESSING_VERSION = 5
"""Raised when preprocessing changes its results, so that stored cases are made again. 5: a layer is a chunk."""
GRID = ("release", "files", "spacing_mm", "patch_size", "context_voxels")
NOISE = (*GRID, "noise", "dose", "seed")
"""What the noise fields, by far the slowest part of a case, are made of."""
ROW = ("row",)
"""What is only written into the properties."""
_WORDS = {
    "release": "made by another release",
    "files": "its files changed",
    "row": "its row in the label table changed",
    "noise": "its noise was calibrated anew",
}

Extent = Literal["all", "all but noise", "properties"]


def made_of(case: CaseFingerprint, plan: Plan) -> dict[str, str]:
    """A hash of each thing that a preprocessed case depends on: its files, its row, its noise, parts of the plan.

    Parts that do not touch this case are left out: channels it lacks, a dose or a localiser that is off.
    """
    used = [name for name in plan.normalisation if name in case.intensities]
    parts: dict[str, Any] = {
        "release": PREPROCESSING_VERSION,
        "files": case.input_hash,
        "row": [case.patient, case.label],
        "spacing_mm": plan.spacing_mm,
        "patch_size": plan.patch_size,
        "context_voxels": plan.context_voxels,
        "normalisation": {n: [plan.normalisation[n].scheme, plan.normalisation[n].storage_scale] for n in used},
        "graph": plan.graph,
        "localiser": plan.localiser.spacing_mm if plan.localiser.enabled else None,
        "dose": plan.dose.levels if plan.dose.enabled else None,
    }
    if plan.dose.enabled:
        parts |= {"noise": case.dose, "seed": plan.seed}
    return {name: content_hash(value) for name, value in parts.items()}


@dataclass(frozen=True)
class Todo:
    """A case that has to be made, how much of it, and why."""

    case: CaseFingerprint
    extent: Extent
    why: str


def outdated_cases(cases: Iterable[CaseFingerprint], plan: Plan, folder: Path) -> list[Todo]:
    """Cases that are not in ``folder``, or that something they depend on has changed for."""
    return [todo for case in cases if (todo := _todo(case, plan, folder))]


def in_words(todo: Iterable[Todo], kept: int) -> str:
    """What is kept and what is made again, and why, on one line."""
    counted = Counter((t.why, t.extent) for t in todo)
    saved = {"all": "", "all but noise": "; noise kept", "properties": "; only their properties"}
    made = ", ".join(f"{n} ({why}{saved[extent]})" for (why, extent), n in counted.most_common())
    keeping = f"keeping {kept}" + (" (files, labels and what they need of the plan are the same)" if kept else "")
    return f"Preprocessing {counted.total()} cases{': ' if made else ''}{made}, {keeping}."


def _todo(case: CaseFingerprint, plan: Plan, folder: Path) -> Todo | None:
    names = [f"{case.case}.b2nd", *([f"{case.case}_coarse.b2nd"] if plan.localiser.enabled else [])]
    if not (folder / f"{case.case}.json").is_file():
        return Todo(case, "all", "new")
    if not all((folder / name).is_file() for name in names):
        return Todo(case, "all", "a file was missing")
    try:
        found = read_properties(folder, case.case).made_of
    except UserError:  # written by another release, or damaged
        return Todo(case, "all", _WORDS["release"])
    changed = _differing(found, made_of(case, plan))
    if not changed:
        return None
    parts = [name for name in changed if name not in _WORDS]
    words = [_WORDS[name] for name in changed if name in _WORDS]
    why = " and ".join(words + ([f"the plan changed: {', '.join(parts)}"] if parts else []))
    if set(changed) <= set(ROW):
        return Todo(case, "properties", why)
    return Todo(case, "all" if set(changed) & set(NOISE) else "all but noise", why)


def _differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    return [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
