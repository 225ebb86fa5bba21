"""Atomic files, and JSON documents that are frozen dataclasses.

Every file of the project is written under a temporary name in its own folder and renamed, so a reader sees
the old file or the new one, never half of one, even after ``kill -9`` or a full disk.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from .errors import UserError

T = TypeVar("T")
TEMPORARY = ".tmp"
"""How names of temporary files begin; the writing process' id and the file's name follow."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        UserError: A file is in the way, or the folder above takes nothing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: not a folder that can be made ({error.strerror}), expected one to write in."
        ) from None


@contextmanager
def atomic_path(path: Path, *, failures: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on any error it is removed.

    The temporary name keeps the suffixes of ``path`` (writers choose their format by them).

    Args:
        path: To be written.
        failures: What the library that writes raises, besides `OSError`, when the disk is full.

    Raises:
        UserError: The file could not be written.
    """
    path = Path(path)
    with scratch_path(path, failures=failures) as temporary:
        yield temporary
        os.replace(temporary, path)


@contextmanager
def scratch_path(path: Path, *, failures: tuple[type[Exception], ...] = ()) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, for what is needed only for a while; it is removed at the end.

    Args:
        path: Its name becomes part of the temporary one.
        failures: As in `atomic_path`.

    Raises:
        UserError: The file could not be written.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}_{path.name}")
    caught: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        yield temporary
    except caught as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: could not be written ({reason}); free space and check access.") from error
    finally:
        with suppress(OSError):  # on a file system that is only read, also where there is nothing to remove
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; one that is missing, broken or no file is a `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: file not found, expected a JSON document.") from None
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}), expected a JSON document.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error}).") from None


def write_json(path: Path, value: Any) -> None:
    """Write plain values or dataclasses as indented JSON, atomically; NaN and infinity become null."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples, paths and numpy values as what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def content_hash(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a value's canonical JSON."""
    text = json.dumps(to_plain(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_plain(kind: type[T], value: Any, *, where: str) -> T:
    """Build ``kind`` (a dataclass, container or scalar type) from JSON values, strictly.

    Args:
        kind: The type expected.
        value: What ``json`` gave.
        where: File and key, for the message.

    Raises:
        UserError: An unknown key, a missing key or a value of the wrong type, naming file, key and expectation.
    """
    return typing.cast(T, _convert(kind, value, where))


def read_document(kind: type[T], path: Path) -> T:
    """Read a JSON file into the dataclass ``kind``, strictly (see `from_plain`)."""
    return from_plain(kind, read_json(path), where=str(path))


def _convert(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _convert_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_optional(arguments, value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UserError(f"{where}: found {value!r}, expected one of {', '.join(map(repr, arguments))}.")
        return value
    if origin in (tuple, list):
        return _convert_sequence(origin, arguments, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise UserError(f"{where}: found {value!r}, expected an object.")
        return {k: _convert(arguments[1], v, f"{where}: {k}") for k, v in value.items()}
    return _convert_scalar(kind, value, where)


def _convert_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise UserError(f"{where}: found {type(value).__name__}, expected an object for {kind.__name__}.")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    if unknown := sorted(set(value) - set(fields)):
        raise UserError(f"{where}: unknown key {unknown[0]!r}, expected {', '.join(fields)}.")
    required = {
        n for n, f in fields.items() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - set(value)):
        raise UserError(f"{where}: key {missing[0]!r} is missing, expected {', '.join(fields)}.")
    try:
        return kind(**{k: _convert(hints[k], v, f"{where}: {k}") for k, v in value.items()})
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _convert_optional(arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    inner = [a for a in arguments if a is not type(None)]
    for candidate in inner[:-1]:
        try:
            return _convert(candidate, value, where)
        except UserError:
            continue
    return _convert(inner[-1], value, where)


def _convert_sequence(origin: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise UserError(f"{where}: found {value!r}, expected a list.")
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            raise UserError(f"{where}: found {len(value)} values, expected {len(arguments)}.")
        return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, value, strict=True)))
    inner = arguments[0] if arguments else Any
    return origin(_convert(inner, v, f"{where}[{i}]") for i, v in enumerate(value))


def _convert_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise UserError(f"{where}: found {value!r}, expected {getattr(kind, '__name__', kind)}.")
