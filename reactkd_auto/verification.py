"""All faults of one raw case at once, for `reactkd_verify_dataset` and for planning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .dataset import Dataset
from .imageio import Problem, RawCase, list_cases, load_case
from .imageio.raw_case import examine_case
from .registration.checks import check_registration

__all__ = ["CaseReport", "Problem", "RawCase", "inspect_case", "list_cases", "load_case", "verify_case", "voxel_hash"]


@dataclass(frozen=True)
class CaseReport:
    """What one look at a case's files found.

    Attributes:
        case: Its name.
        problems: All faults of its files in channel order, of the region map, of sessions, of channels out of step.
        channels: Indices of the channels that were read without a fault.
        has_regions: Whether it has a region map without a fault.
        voxel_hashes: See `voxel_hash`, of each of ``channels``.
    """

    case: str
    problems: tuple[Problem, ...]
    channels: tuple[int, ...]
    has_regions: bool
    voxel_hashes: Mapping[int, str]


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
        (*(f.problem for f in faults), *check_registration(folder, dataset, raw, images)),
        tuple(sorted(raw.images)),
        raw.regions is not None,
        {index: voxel_hash(image) for index, image in raw.images.items()},
    )


def voxel_hash(image: sitk.Image) -> str:
    """SHA-256 of an image's voxel values and size, wherever it lies and however its file was written."""
    values = sitk.GetArrayViewFromImage(image)
    digest = hashlib.sha256(repr(values.shape).encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
