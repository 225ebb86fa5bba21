"""Clinical tables as archives ship them: CSV, or the first sheet of an Excel file, with headers of many spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

from reactkd_auto.errors import UserError
from reactkd_auto.tables import read_csv

_BINARY = {"0": 0, "1": 1, "": None, "nan": None}


def read_column(path: Path, key: str, column: str) -> dict[str, str]:
    """A column's texts by another column's; rows without a key (notes below a table) are left out.

    A header is the column's if it has the same letters and digits, or, where none has, if it alone begins with them
    (``HPV status`` finds ``HPV Status (0=-, 1=+)``).

    Args:
        path: ``.csv`` or ``.xlsx`` (its first sheet).
        key: For instance the patient's column.
        column: The wanted one.

    Raises:
        UserError: No such file, not a table, a missing column, no rows, a key with two texts.
    """
    rows = _read_rows(path)
    keys, texts = (_find_column(path, list(rows[0]), c) for c in (key, column))
    found: dict[str, str] = {}
    for row in rows:
        if row[keys] and found.setdefault(row[keys], row[texts]) != row[texts]:
            raise UserError(f"{path}: {key} {row[keys]} has more than one {column}, expected one.")
    if not found:
        raise UserError(f"{path}: no rows with {key}, expected one row a case.")
    return found


def find_table(source: Path, *columns: str) -> Path:
    """The one CSV file directly in a folder that has such columns.

    Raises:
        UserError: None, or several.
    """
    found = [p for p in sorted(source.glob("*.csv")) if _has_columns(p, columns)]
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise UserError(f"{source}: tables with columns {', '.join(columns)}: {names}, expected one; give it by name.")
    return found[0]


def _has_columns(path: Path, columns: Sequence[str]) -> bool:
    try:
        headers = list(_read_rows(path)[0])
        return all(_find_column(path, headers, c) for c in columns)
    except UserError:
        return False


def binary_label(path: Path, patient: str, column: str, text: str) -> int | None:
    """0, 1, or None for an empty cell.

    Raises:
        UserError: Anything else.
    """
    value = text.lower().removesuffix(".0")
    if value not in _BINARY:
        raise UserError(f"{path}: patient {patient} has {column} {text!r}, expected 0, 1 or empty.")
    return _BINARY[value]


def class_values(
    path: Path, values: Mapping[str, str], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Class names from a column of free text, and the class of each row, or empty (ungraded).

    Names are the values in small letters, anything but letters and digits as ``_``.

    Args:
        path: The table.
        values: Texts by row.
        wanted: Texts that are classes, in this order, all others being ungraded; None: all but empty ones, sorted.

    Raises:
        UserError: Fewer than two classes, or a wanted one that no row has.
    """
    named = {row: _class_name(text) for row, text in values.items()}
    found = sorted(set(named.values()) - {""})
    names = found if wanted is None else [_class_name(w) for w in wanted]
    if len(set(names)) < max(2, len(names)) or not set(names) <= set(found):
        listed = "two or more" if wanted is None else ", ".join(wanted)
        raise UserError(f"{path}: found classes {', '.join(found) or 'none'}, expected {listed}.")
    return tuple(names), {row: name if name in names else "" for row, name in named.items()}


def _class_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _find_column(path: Path, headers: list[str], column: str) -> str:
    wanted = _plain(column)
    exact = [h for h in headers if _plain(h) == wanted]
    fitting = exact or [h for h in headers if _plain(h).startswith(wanted)]
    if len(fitting) != 1:
        raise UserError(f"{path}: columns {', '.join(headers) or 'none'}, expected one called {column!r}.")
    return fitting[0]


def _plain(header: str) -> str:
    return re.sub(r"[^a-z0-9]", "", header.lower())


def _read_rows(path: Path) -> list[dict[str, str]]:
    if path.suffix.lower() != ".xlsx":
        return read_csv(path, ())
    import pandas

    try:
        table = pandas.read_excel(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path}: file not found, expected the collection's clinical table.") from None
    except (BadZipFile, KeyError, OSError, ValueError) as error:
        raise UserError(f"{path}: found a damaged Excel file ({type(error).__name__}), expected a table.") from None
    rows = [{str(h): str(v).strip() for h, v in row.items()} for row in table.to_dict("records")]
    if not rows:
        raise UserError(f"{path}: no rows, expected one row a case.")
    return rows
