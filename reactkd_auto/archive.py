"""Zip files: written with the same bytes from the same contents, unpacked without trusting what they say."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import UserError
from .jsonio import atomic_path

_GIB = 1 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FAULTS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError)
"""What `zipfile` raises for damage, for encryption and for compressions that it does not know."""


@dataclass(frozen=True)
class Limits:
    """What an archive may grow to.

    Attributes:
        size: Bytes of all files unpacked.
        files: Number of files.
        ratio: Unpacked size over the archive's own, for more than `allowed_anyway` bytes.
        allowed_anyway: Bytes that any archive may grow to: empty images compress a thousandfold.
    """

    size: int = 64 * _GIB
    files: int = 200_000
    ratio: int = 100
    allowed_anyway: int = _GIB


def pack(path: Path, contents: Mapping[str, Path | bytes]) -> None:
    """Write a zip of files and texts by their names in it, sorted, stored, without times: same contents, same bytes.

    Raises:
        UserError: A file can't be read or the zip can't be written.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(contents.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            if isinstance(content, bytes):
                archive.writestr(entry, content)
                continue
            with content.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def unpack(path: Path, folder: Path, limits: Limits | None = None, *, allowed: re.Pattern[str] | None = None) -> None:
    """Unpack a zip into an empty folder; nothing is written before all of its entries are found harmless.

    Args:
        path: The zip.
        folder: Made if it is missing.
        limits: Of what it may grow to.
        allowed: What names must match.

    Raises:
        UserError: No zip or a damaged one; a name that leaves the folder, stands twice or is not allowed; a link or
            device; an encrypted entry; more files or bytes than the limits or the disk allow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir()]
            _check_entries(path, entries)
            if unknown := [e.filename for e in entries if allowed and not allowed.fullmatch(e.filename)]:
                raise UserError(f"{path}: holds {unknown[0]!r}, which has no place in it; nothing was unpacked.")
            _check_size(path, entries, folder, limits or Limits())
            for entry in entries:
                _extract(archive, entry, folder / entry.filename)
    except _FAULTS as error:
        raise UserError(f"{path}: not a whole zip file ({error}), expected one that unpacks; copy it again.") from None
    except OSError as error:
        raise UserError(f"{path}: could not be unpacked into {folder} ({error.strerror or error}).") from None


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or set("\\:\0") & set(name):
            raise UserError(f"{path}: the entry {name!r} would leave its folder, expected names below it.")
        if kind not in (0, stat.S_IFREG):
            raise UserError(f"{path}: the entry {name!r} is a link or device, expected files only.")
        if entry.flag_bits & 1:
            raise UserError(f"{path}: the entry {name!r} is encrypted, expected a zip without password.")
        if name.casefold() in seen:
            raise UserError(f"{path}: the entry {name!r} stands in it twice, expected each once.")
        seen.add(name.casefold())


def _check_size(path: Path, entries: list[zipfile.ZipInfo], folder: Path, limits: Limits) -> None:
    size = sum(e.file_size for e in entries)
    free = shutil.disk_usage(folder).free
    if len(entries) > limits.files:
        raise UserError(f"{path}: {len(entries)} files, expected at most {limits.files}.")
    if size > limits.size:
        raise UserError(f"{path}: {_words(size)} unpacked, expected at most {_words(limits.size)}.")
    if size > max(limits.allowed_anyway, limits.ratio * path.stat().st_size):
        found = f"{_words(size)} unpacked out of {_words(path.stat().st_size)}"
        raise UserError(
            f"{path}: {found}, expected at most {limits.ratio} times as much; unpack it yourself if you must."
        )
    if size > free:
        raise UserError(f"{path}: {_words(size)} unpacked, expected at most the {_words(free)} free in {folder}.")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """`zipfile` itself stops at the size that an entry declares and checks its checksum."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _words(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.1f} MiB"
