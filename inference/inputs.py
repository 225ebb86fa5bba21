"""Which cases lie at the place given."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from reactkd_auto.archive import unpack
from reactkd_auto.dataset import Dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.reading import FORMATS
from reactkd_auto.imageio.sources import ImageSource, find_image_files

logger = logging.getLogger(__name__)

UNPACKED = ".unpacked"
"""Where a zip's contents lie in the output folder while its cases are predicted."""


@dataclass(frozen=True)
class InputCase:
    """A case to predict.

    Attributes:
        case: Its name.
        channels: Images of the channels that the student takes, by index; the base is 0.
        regions: Its region map, if one was given.
        notes: What a person should read beside the answer, such as why a PET is not used.
        fault: Why it can't be read, found while looking through headers; empty for a sound case.
    """

    case: str
    channels: dict[int, ImageSource]
    regions: Path | None = None
    notes: tuple[str, ...] = ()
    fault: str = ""


@contextmanager
def opened_input(given: Path, output: Path) -> Iterator[Path]:
    """The folder or file to look through: a zip is unpacked in the output folder, and what was unpacked is removed.

    Call it while the output folder is locked: what a killed process had unpacked there is removed first.

    Raises:
        UserError: A zip that is not safe to unpack.
    """
    place = output / UNPACKED
    rmtree(place, ignore_errors=True)
    if given.is_dir() or given.suffix.lower() != ".zip":
        yield given
        return
    try:
        unpack(given, place)
        yield place
    finally:
        rmtree(place, ignore_errors=True)


def find_cases(
    given: Path,
    dataset: Dataset,
    *,
    student_channels: Sequence[str],
    regions: Path | None = None,
    exclude: Collection[Path] = (),
    quiet: bool = False,
) -> list[InputCase]:
    """Find the cases of a file or of a folder of any nesting, sorted by name.

    ``CASE_0000.nii.gz`` or plain ``CASE.nii.gz`` is the base image (also .nii, .nrrd, .mha); ``CASE_0001`` and so on
    are the dataset's other channels, left aside unless the student takes them. Below folders the name is
    ``FOLDER__CASE``. Every DICOM series of the base's modality is a case of its own, see `dicom_cases`. A region map
    is ``CASE.nii.gz`` in ``regions`` (or ``regions`` itself, of a single case); a case may lack one.

    Args:
        given: File or folder.
        dataset: Of the model.
        student_channels: Names of the channels that the student takes.
        regions: Folder of region maps, or one region map.
        exclude: Folders that hold no input, such as the output.
        quiet: No progress bar.

    Raises:
        UserError: No image, or two files for one channel of a case.
    """
    from reactkd_auto.inference.dicom_cases import dicom_cases

    wanted = {dataset.channel_index(name) for name in student_channels} | {0}
    left_out = [*exclude, *([regions] if regions is not None and regions.is_dir() else [])]
    if given.is_file() and not given.name.lower().endswith(tuple(FORMATS)):
        raise UserError(f"{given}: no image, expected {', '.join(FORMATS)}, a zip, or the folder of a DICOM series.")
    found = [
        InputCase(case, {c: s for c, s in sorted(channels.items()) if c in wanted})
        for case, channels in _image_files(given, dataset, left_out).items()
    ]
    found += dicom_cases(given, dataset, sorted(wanted), exclude=left_out, quiet=quiet)
    if not found:
        endings = ", ".join(FORMATS)
        raise UserError(f"{given}: no image found, expected CASE_0000 or CASE with {endings}, or DICOM series.")
    cases = sorted(found, key=lambda case: case.case)
    return cases if regions is None else _with_regions(cases, regions)


def hash_files(case: InputCase) -> str:
    """SHA-256 over the contents of a case's images, in the order of channels, then the region map.

    Raises:
        UserError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for channel, source in case.channels.items():
        digest.update(f"{channel}:{source.content_hash()};".encode())
    if case.regions is not None:
        digest.update(f"regions:{ImageSource((case.regions,)).content_hash()};".encode())
    return digest.hexdigest()


def _image_files(given: Path, dataset: Dataset, exclude: Collection[Path]) -> dict[str, dict[int, ImageSource]]:
    found: dict[str, dict[int, ImageSource]] = {}
    for path, name in find_image_files(given, exclude=exclude):
        case, channel = _split(name, len(dataset.channels))
        files = found.setdefault(case, {})
        if channel in files:
            other = files[channel].path
            raise UserError(f"{path}: {other.name} is channel {channel} of case {case!r} too, expected one.")
        files[channel] = ImageSource((path,))
    return found


def _split(name: str, channels: int) -> tuple[str, int]:
    """Case and channel of a file's name; a number that is no channel of the dataset belongs to the name."""
    stem, _, digits = name.rpartition("_")
    if stem and len(digits) == 4 and digits.isdecimal() and int(digits) < channels:
        return stem, int(digits)
    return name, 0


def _with_regions(cases: list[InputCase], regions: Path) -> list[InputCase]:
    if regions.is_file() and len(cases) == 1:
        maps = {cases[0].case: regions}
    elif regions.is_dir():
        maps = _region_maps(regions)
    else:
        raise UserError(f"{regions}: not a folder, expected one with region maps (or one map, for a single case).")
    if unknown := sorted(set(maps) - {c.case for c in cases}):
        logger.warning("%s: %d region maps fit no case (first %s).", regions, len(unknown), unknown[0])
    return [InputCase(c.case, c.channels, maps.get(c.case), c.notes, c.fault) for c in cases]


def _region_maps(folder: Path) -> dict[str, Path]:
    maps: dict[str, Path] = {}
    for path, name in find_image_files(folder):
        if name in maps:
            raise UserError(f"{path}: {maps[name].name} is a region map of {name!r} too, expected one.")
        maps[name] = path
    if not maps:
        raise UserError(f"{folder}: no region map found, expected CASE with {', '.join(FORMATS)}.")
    return maps
