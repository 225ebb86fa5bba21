"""Which cases lack a region map, which have a drawn one, and which one that was made here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import SimpleITK as sitk

from reactkd_auto.dataset import Dataset, channel_path, region_path
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import list_cases, write_image
from reactkd_auto.jsonio import atomic_path, content_hash, file_hash, read_json, write_json

RECORDS = "made_regions"
"""Folder in which it stands which maps were made here, and of what."""
State = Literal["missing", "drawn", "finished", "outdated"]


@dataclass(frozen=True)
class Target:
    """A case and where its region map belongs.

    Attributes:
        case: As messages call it: ``imagesTr/NAME``.
        image: The CT.
        regions: The region map.
        record: Where it stands that the map was made here.
    """

    case: str
    image: Path
    regions: Path
    record: Path


def list_targets(folder: Path, dataset: Dataset) -> list[Target]:
    """All cases of the training and the test part.

    Raises:
        UserError: There is none.
    """
    ending = dataset.file_ending
    found = [
        Target(
            f"images{part}/{case}",
            channel_path(folder / f"images{part}", case, 0, ending),
            region_path(folder / f"regions{part}", case, ending),
            folder / RECORDS / f"regions{part}" / f"{case}.json",
        )
        for part in ("Tr", "Ts")
        for case in list_cases(folder, dataset, images=f"images{part}")
    ]
    if not found:
        raise UserError(f"{folder}: no CT found, expected imagesTr/CASE_0000{ending}.")
    return found


def state_of(target: Target, method: str) -> State:
    """Whether a map is missing, drawn by somebody (or changed since it was made here), or made here.

    A map that was made here is finished if it was made of the same CT by the same method, else outdated.
    """
    if not target.regions.exists():
        return "missing"
    if not target.record.is_file():
        return "drawn"
    try:
        record = read_json(target.record)
    except UserError:
        return "drawn"
    if not isinstance(record, dict) or record.get("map") != file_hash(target.regions):
        return "drawn"
    return "finished" if record.get("key") == _key(target, method) else "outdated"


def write_map(target: Target, image: sitk.Image, *, method: str, using: str) -> None:
    """Write a map and, just before it appears, the record that it was made here."""
    with atomic_path(target.regions) as temporary:
        write_image(temporary, image)
        document = {"using": using, "key": _key(target, method), "map": file_hash(temporary)}
        write_json(target.record, document)


def count_states(states: Sequence[State]) -> str:
    """In words."""
    return f"{states.count('drawn')} drawn, {states.count('finished')} made before"


def _key(target: Target, method: str) -> str:
    return content_hash((method, file_hash(target.image)))
