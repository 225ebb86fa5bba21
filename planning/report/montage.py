"""Preprocessed crops as the networks get them: a few cases a class, regions and graph drawn on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.cases import read_case, read_properties
from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.plan import Plan
from reactkd_auto.planning.report.groups import Group
from reactkd_auto.planning.report.tile import draw_tile
from reactkd_auto.regions.slots import node_slots

MOST_TILES = 24
SIZES = ("smallest", "median", "largest")


@dataclass(frozen=True)
class Tile:
    """One case's picture.

    Attributes:
        case: Its name.
        why: Why it was chosen, and what it has.
        png: The picture.
    """

    case: str
    why: str
    png: bytes


def montage(
    groups: Sequence[Group], folder: Path, plan: Plan, dataset: Dataset, folds: Mapping[str, int]
) -> dict[str, list[Tile]]:
    """Pictures of the smallest, the median and the largest case of each class; fewer where there are many classes.

    Args:
        groups: The cohort by class.
        folder: Of preprocessed cases.
        plan, dataset: That they were made by.
        folds: Of each preprocessed case.
    """
    each = max(1, min(len(SIZES), MOST_TILES // len(groups)))
    slots = node_slots(plan.graph, dataset)
    tiles: dict[str, list[Tile]] = {}
    for group in groups:
        tiles[group.name] = []
        for case, why in chosen(group, folds, each):
            properties = read_properties(folder, case.case)
            png = draw_tile(read_case(folder, properties), plan, dataset, slots)
            tiles[group.name].append(Tile(case.case, _caption(case, why, folds[case.case], properties.zoom), png))
    return tiles


def chosen(group: Group, preprocessed: Mapping[str, int], most: int) -> list[tuple[CaseFingerprint, str]]:
    """Up to three cases by the volume of their regions (of the image, where there are none), with a word for each."""
    cases = sorted((c for c in group.cases if c.case in preprocessed), key=lambda c: (_volume(c), c.case))
    if not cases:
        return []
    places = {"median": (len(cases) - 1) // 2, "largest": len(cases) - 1, "smallest": 0}
    picked: dict[int, str] = {}
    for word in ("median", "largest", "smallest")[:most]:
        picked.setdefault(places[word], word)
    return [(cases[i], f"{picked[i]} of the class" if len(cases) > 1 else "") for i in sorted(picked)]


def _caption(case: CaseFingerprint, why: str, fold: int, zoom: float) -> str:
    parts = [why, _content(case), f"fold {fold}" if fold >= 0 else "always trained on"]
    if zoom > 1:
        parts.append(f"{zoom:.2f} times coarser to fit")
    return " · ".join(p for p in parts if p)


def _volume(case: CaseFingerprint) -> float:
    marked = sum(case.lesion_volumes_mm3) or case.organ_volume_mm3
    z, y, x = case.image_extent_mm
    return marked or z * y * x


def _content(case: CaseFingerprint) -> str:
    count = len(case.lesion_volumes_mm3)
    if count:
        return f"{count} lesion{'s' if count > 1 else ''}, {_cm3(sum(case.lesion_volumes_mm3))}"
    return f"organ, {_cm3(case.organ_volume_mm3)}" if case.organ_volume_mm3 else "no region"


def _cm3(mm3: float) -> str:
    return f"{mm3 / 1000:.3g} cm³" if mm3 < 1e6 else f"{mm3 / 1000:.0f} cm³"
