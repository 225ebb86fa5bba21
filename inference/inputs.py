"""Which cases lie in the input folder."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reactkd_auto.dataset import Dataset, check_safe_name
from reactkd_auto.errors import UserError

logger = logging.getLogger(__name__)

FILE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class InputCase:
    """A case to predict: files of the channels that the student takes, and of its region map if one was given."""

    case: str
    channels: dict[int, Path]
    regions: Path | None = None


def find_cases(
    folder: Path, dataset: Dataset, *, student_channels: Sequence[str], regions: Path | None = None
) -> list[InputCase]:
    """Find the cases of an input folder, sorted by name.

    ``CASE_0000.nii.gz`` or plain ``CASE.nii.gz`` is the base image (any of `FILE_ENDINGS`); ``CASE_0001`` and so on
    are the dataset's other channels, left aside unless the student takes them. A region map is ``CASE.nii.gz`` in
    ``regions``; a case may lack one.

    Raises:
        UserError: No such folder, no image in it, an unsafe case name, or two files for one channel of a case.
    """
    wanted = {dataset.channel_index(name) for name in student_channels} | {0}
    found: dict[str, dict[int, Path]] = {}
    for path, stem in _images(folder, "images to predict"):
        case, channel = _split(stem, len(dataset.channels))
        _check_name(case, path)
        files = found.setdefault(case, {})
        if channel in files:
            raise UserError(f"{path}: {files[channel].name} is channel {channel} of case {case!r} too, expected one.")
        files[channel] = path
    if not found:
        raise UserError(f"{folder}: no image found, expected CASE_0000 or CASE with {', '.join(FILE_ENDINGS)}.")
    maps = _region_maps(regions) if regions is not None else {}
    if unknown := sorted(set(maps) - set(found)):
        logger.warning("%s: %d region maps fit no case (first %s).", regions, len(unknown), unknown[0])
    return [
        InputCase(case, {c: p for c, p in sorted(files.items()) if c in wanted}, maps.get(case))
        for case, files in sorted(found.items())
    ]


def hash_files(case: InputCase) -> str:
    """SHA-256 over the bytes of a case's files, in the order of channels, then the region map."""
    digest = hashlib.sha256()
    for label, path in [*((str(c), p) for c, p in case.channels.items()), ("regions", case.regions)]:
        if path is None:
            continue
        with path.open("rb") as file:
            digest.update(f"{label}:{hashlib.file_digest(file, 'sha256').hexdigest()};".encode())
    return digest.hexdigest()


def _images(folder: Path, what: str) -> list[tuple[Path, str]]:
    """(path, name without ending) of each image file."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder, expected one with {what}.")
    listed = []
    for path in sorted(folder.iterdir()):
        ending = next((e for e in FILE_ENDINGS if path.name.endswith(e)), None)
        if ending is not None and path.is_file() and not path.name.startswith("."):
            listed.append((path, path.name.removesuffix(ending)))
    return listed


def _split(stem: str, channels: int) -> tuple[str, int]:
    """Case and channel of a file name; a number that is no channel of the dataset belongs to the name."""
    match = _CHANNEL.fullmatch(stem)
    if match and int(match.group(2)) < channels:
        return match.group(1), int(match.group(2))
    return stem, 0


def _check_name(case: str, path: Path) -> None:
    try:
        check_safe_name(case, "case")
    except ValueError as error:
        raise UserError(f"{path}: {error}.") from None


def _region_maps(folder: Path) -> dict[str, Path]:
    maps: dict[str, Path] = {}
    for path, stem in _images(folder, "region maps"):
        if stem in maps:
            raise UserError(f"{path}: {maps[stem].name} is a region map of {stem!r} too, expected one.")
        maps[stem] = path
    if not maps:
        raise UserError(f"{folder}: no region map found, expected CASE with {', '.join(FILE_ENDINGS)}.")
    return maps
