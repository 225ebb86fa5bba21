"""All faults of one raw case at once, for `reactkd_verify_dataset` and for planning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .dataset import Dataset
from .imageio import Problem, RawCase, list_cases, load_case
from .imageio.raw_case import examine_case

__all__ = ["CaseReport", "Problem", "RawCase", "inspect_case", "list_cases", "load_case", "verify_case"]


@dataclass(frozen=True)
class CaseReport:
    """What one look at a case's files found.

    Attributes:
        case: Its name.
        problems: All faults of its files, in channel order, the region map's last.
        channels: Indices of the channels that were read without a fault.
        has_regions: Whether it has a region map without a fault.
        base_hash: SHA-256 of the base image's voxels and size, or None if it could not be read.
    """

    case: str
    problems: tuple[Problem, ...]
    channels: tuple[int, ...]
    has_regions: bool
    base_hash: str | None


def verify_case(
    folder: Path, dataset: Dataset, case: str, *, images: str = "imagesTr", regions: str = "regionsTr"
) -> list[Problem]:
    """Every fault of a case's files; missing privileged channels and a missing region map are none."""
    return list(inspect_case(folder, dataset, case, images=images, regions=regions).problems)


def inspect_case(
    folder: Path, dataset: Dataset, case: str, *, images: str = "imagesTr", regions: str = "regionsTr"
) -> CaseReport:
    """Read a case once, and say everything about it that a check of the cohort needs."""
    raw, faults = examine_case(folder, dataset, case, images=images, regions=regions)
    return CaseReport(
        case,
        tuple(f.problem for f in faults),
        tuple(sorted(raw.images)),
        raw.regions is not None,
        _base_hash(raw),
    )


def _base_hash(raw: RawCase) -> str | None:
    import SimpleITK as sitk

    if 0 not in raw.images:
        return None
    values = sitk.GetArrayFromImage(raw.images[0])
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
