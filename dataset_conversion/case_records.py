"""A case is finished, or it has no files: what is finished and unchanged is kept, all else is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reactkd_auto.dataset import region_path, sidecar_path
from reactkd_auto.jsonio import content_hash, read_json, write_json

RECORDS = "conversion"


def source_key(files: Iterable[Path], *parts: Any) -> str:
    """Hash of what a case is made of: every source file's place, size and time, and whatever else decides."""
    stats = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return content_hash((stats, *parts))


def make_once(
    folder: Path, case: str, file_ending: str, key: str, make: Callable[[], dict[str, str]]
) -> dict[str, str]:
    """Call ``make`` unless a finished case of the same key is there; a case that fails has no files.

    Args:
        folder: Of the dataset.
        case: Its name.
        file_ending: Of the dataset's images.
        key: See `source_key`.
        make: Writes the case's files, and returns why channels were left out, by channel name. A case with channels
            left out is made anew by every call: reasons hold file names, and are kept nowhere.

    Returns:
        What ``make`` returned; empty for a kept case.
    """
    record = _record_path(folder, case)
    if record.exists() and read_json(record) == {"key": key, "files": _names(folder, case, file_ending)}:
        return {}
    discard_case(folder, case, file_ending)
    try:
        skipped = make()
    except BaseException:
        discard_case(folder, case, file_ending)
        raise
    if not skipped:
        write_json(record, {"key": key, "files": _names(folder, case, file_ending)})
    return skipped


def discard_case(folder: Path, case: str, file_ending: str) -> None:
    """Remove a case's files: it is to be made anew, or can't be made."""
    for path in (_record_path(folder, case), *_files(folder, case, file_ending)):
        path.unlink(missing_ok=True)


def _record_path(folder: Path, case: str) -> Path:
    """Where it stands that a case is finished, and what it was made of (a hash: no names, no identifiers)."""
    return folder / RECORDS / f"{case}.json"


def _files(folder: Path, case: str, file_ending: str) -> list[Path]:
    """A case's images, its sidecar and its region map, as far as they exist, in order."""
    images = sorted((folder / "imagesTr").glob(f"{case}_[0-9][0-9][0-9][0-9]{file_ending}"))
    others = (sidecar_path(folder / "imagesTr", case), region_path(folder / "regionsTr", case, file_ending))
    return [*images, *(p for p in others if p.exists())]


def _names(folder: Path, case: str, file_ending: str) -> list[str]:
    return [p.name for p in _files(folder, case, file_ending)]
