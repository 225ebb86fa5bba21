"""Files of a session beside the raw images: its CT, and perhaps the region map of that CT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.dataset import Dataset, Session, session_ct_path, session_region_path
from reactkd_auto.imageio import ImageFault, check_units, read_image, read_regions, same_grid, to_canonical

from .session import SessionImages
from .window import marked_voxels

SESSIONS = {"imagesTr": "sessionsTr", "imagesTs": "sessionsTs"}
"""Folder of the sessions by the folder of the images."""


def session_files(folder: Path, dataset: Dataset, case: str) -> Iterator[Path]:
    """Every file that the sessions of a case may have, in order.

    Args:
        folder: ``sessionsTr`` or ``sessionsTs`` of a raw dataset.
        dataset: Its description.
        case: Name of the case.
    """
    for session in dataset.sessions:
        yield session_ct_path(folder, session.name, case, dataset.file_ending)
        yield session_region_path(folder, session.name, case, dataset.file_ending)


def read_session(folder: Path, dataset: Dataset, session: Session, case: str) -> SessionImages:
    """A session's CT and the organ and lesion voxels of its region map.

    Raises:
        ImageFault: The CT is missing or no CT in HU; the region map is not on its grid, or has unknown values.
    """
    path = session_ct_path(folder, session.name, case, dataset.file_ending)
    ct = to_canonical(read_image(path))
    check_units(ct, "ct", path)
    region_file = session_region_path(folder, session.name, case, dataset.file_ending)
    return SessionImages(ct, marked_voxels(_regions(region_file, dataset, ct, path), dataset))


def _regions(path: Path, dataset: Dataset, ct: sitk.Image, ct_file: Path) -> sitk.Image | None:
    if not path.is_file():
        return None
    regions = to_canonical(read_regions(path, [r.value for r in dataset.regions]))
    if not same_grid(ct, regions):
        raise ImageFault(path, "a region map on another grid", f"the grid of {ct_file.name}")
    return regions
