"""Which structures become regions, and what ``dataset.json`` says of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, Region, RegionRole, check_safe_name
from reactkd_auto.errors import UserError
from reactkd_auto.preprocessing.supervoxels import supervoxel_regions, supervoxel_values

_CLASS = re.compile(r"[A-Za-z0-9]\w*")


@dataclass(frozen=True)
class Structure:
    """A region, made of one or several of TotalSegmentator's classes."""

    name: str
    role: RegionRole
    classes: tuple[str, ...]


def read_structures(organs: Sequence[str], context: Sequence[str]) -> tuple[Structure, ...]:
    """From options ``CLASS`` or ``NAME=CLASS+CLASS``; context regions first, so that organs cover them.

    Raises:
        UserError: No organ, a name that is none, or one twice.
    """
    if not organs:
        raise UserError(
            "--organs: none given, expected the organ that the tumours lie in, as TotalSegmentator calls it "
            "(--organs liver, --organs 'kidneys=kidney_left+kidney_right')."
        )
    roles: tuple[tuple[RegionRole, Sequence[str]], ...] = (("context", context), ("organ", organs))
    found = tuple(_structure(text, role) for role, texts in roles for text in texts)
    for what, names in (("names", [s.name for s in found]), ("classes", [c for s in found for c in s.classes])):
        if len(set(names)) < len(names):
            raise UserError(f"--organs, --context: {what} {', '.join(names)}, expected each once.")
    return found


def with_structures(dataset: Dataset, structures: Sequence[Structure], folder: Path) -> Dataset:
    """The dataset with a region for each structure; entries that are there are kept and used.

    Raises:
        UserError: An entry of that name has another role, there are supervoxels, or no value is left.
    """
    if supervoxel_values(dataset):
        raise UserError(
            f"{folder / 'dataset.json'}: names supervoxels, expected none beside organs; delete these entries, "
            "regionsTr and regionsTs first."
        )
    known = {r.name: r for r in dataset.regions}
    for structure in structures:
        here = known.get(structure.name)
        if here is not None and here.role != structure.role:
            raise UserError(
                f"{folder / 'dataset.json'}: region {here.name!r} has role {here.role}, expected {structure.role} as "
                f"asked; give another name ({structure.name}_2={'+'.join(structure.classes)})."
            )
    new = [s for s in structures if s.name not in known]
    free = sorted(set(range(1, 256)) - {r.value for r in dataset.regions})[: len(new)]
    if len(free) < len(new):
        raise UserError(f"{folder / 'dataset.json'}: names {len(known)} regions, expected room for {len(new)} more.")
    return _with_regions(dataset, [Region(s.name, value, s.role) for s, value in zip(new, free, strict=True)])


def with_supervoxels(dataset: Dataset, count: int, folder: Path) -> Dataset:
    """The dataset with so many supervoxels.

    Raises:
        UserError: It names organs or lesions, or another number of supervoxels.
    """
    drawn = [r.name for r in dataset.regions if r.role != "context"]
    if drawn:
        # A case's nodes would tell whether somebody had drawn on it, which is no property of the patient.
        raise UserError(
            f"{folder / 'dataset.json'}: names {', '.join(drawn)}, expected no organ or lesion beside supervoxels; "
            "make organs with --using totalsegmentator, or leave the region maps that are missing away."
        )
    there = len(supervoxel_values(dataset))
    if there == count:
        return dataset
    if there:
        raise UserError(
            f"{folder / 'dataset.json'}: names {there} supervoxels, expected {count} as asked; give "
            f"--supervoxels {there}, or delete these entries, regionsTr and regionsTs first."
        )
    first = 1 + max((r.value for r in dataset.regions), default=0)
    if first + count > 256:
        raise UserError(f"{folder / 'dataset.json'}: region values up to {first - 1}, expected room for {count} more.")
    return _with_regions(dataset, supervoxel_regions(count, first_value=first))


def _with_regions(dataset: Dataset, new: Sequence[Region]) -> Dataset:
    return dataclasses.replace(dataset, regions=(*dataset.regions, *new))


def _structure(text: str, role: RegionRole) -> Structure:
    name, equals, listed = text.partition("=")
    classes = tuple((listed if equals else name).split("+"))
    try:
        check_safe_name(name, "region name")
    except ValueError as error:
        raise UserError(f"{text!r}: {error}; write NAME=CLASS+CLASS.") from None
    if bad := [c for c in classes if not _CLASS.fullmatch(c)]:
        raise UserError(f"{text!r}: {bad[0]!r} is no class of TotalSegmentator; write NAME=CLASS+CLASS.")
    return Structure(name, role, classes)
