"""Bytes of a file that may be compressed, and what damage to it looks like."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO, cast

from isal import igzip
from isal.igzip_lib import IsalError

from .faults import ImageFault

DAMAGE: tuple[type[Exception], ...] = (EOFError, OSError, zlib.error, cast("type[Exception]", IsalError))
"""What reading of a cut-off or damaged file raises."""
_PIECE_BYTES = 1 << 20


def open_unpacked(path: Path) -> IO[bytes]:
    """A file's bytes, those of a ``.gz`` unpacked while they are read.

    Raises:
        OSError: It can't be opened; reading raises any of `DAMAGE`.
    """
    return cast("IO[bytes]", igzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb"))


def read_into(path: Path, file: IO[bytes], room: memoryview) -> int:
    """Fill ``room``; how many bytes there were for it.

    Raises:
        ImageFault: Compressed data are cut off or damaged.
    """
    filled = 0
    try:
        while filled < len(room) and (count := file.readinto(room[filled:])):  # type: ignore[attr-defined]
            filled += count
    except DAMAGE as error:
        raise damaged(path, error) from None
    return filled


def read_to_end(path: Path, file: IO[bytes]) -> int:
    """Read what is left, with the checksum at the end of compressed data; how many bytes it was.

    Raises:
        ImageFault: Compressed data are cut off or damaged.
    """
    size = 0
    try:
        while piece := file.read(_PIECE_BYTES):
            size += len(piece)
    except DAMAGE as error:
        raise damaged(path, error) from None
    return size


def damaged(path: Path, error: Exception) -> ImageFault:
    """One of `DAMAGE` as a fault."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ImageFault(path, f"cut-off or damaged data ({reason})", "a complete image; copy it again")
