"""CSV files as text: the one form that the project writes, and whatever people's programs save."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from .errors import UserError

_SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""Besides commas, what programs put between the cells of what they call CSV."""


class TableFault(UserError):
    """A `UserError` about a whole table that keeps its parts.

    Attributes:
        found, expected: As in the sentence.
    """

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(f"{path}: {found}, expected {expected}.")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A header and its rows, comma-separated, a line each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table as texts by column, without the spaces round them; columns without a name are left out.

    Args:
        path: A CSV in UTF-8, with or without a byte order mark.
        columns: That it must have; others are read as well.

    Raises:
        TableFault: No such file or no file, not UTF-8, no CSV, separated by something else than commas, a missing
            column, a row with more cells than the header, no rows.
    """
    path = Path(path)
    expected = f"a CSV with columns {', '.join(columns)}" if columns else "a CSV"
    header, *rows = _lines(path, expected)
    if len(header) == 1:
        for separator, name in _SEPARATORS.items():
            if separator in header[0]:
                raise TableFault(path, f"a table separated by {name}", f"{expected}, separated by commas")
    if missing := [c for c in columns if c not in header]:
        names = ", ".join(map(repr, missing))
        what = f"column {names} is missing" if len(missing) == 1 else f"columns {names} are missing"
        raise TableFault(path, f"{what} (found {', '.join(header)})", expected)
    for line, row in enumerate(rows, start=2):
        if any(row[len(header) :]):
            found = f"line {line} has {len(row)} cells"
            raise TableFault(path, found, f"{len(header)} as in the header; put a text with commas in quotes")
    if not rows:
        raise TableFault(path, "no rows", "one row a case")
    return [{c: cell for c, cell in zip_longest(header, row, fillvalue="") if c} for row in rows]


def _lines(path: Path, expected: str) -> list[list[str]]:
    """Cells of the lines that are not empty, at least one."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        lines = [[cell.strip() for cell in line] for line in reader if line]
    except FileNotFoundError:
        raise TableFault(path, "file not found", expected) from None
    except OSError as error:
        raise TableFault(path, f"not readable ({error.strerror})", expected) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TableFault(
            path,
            f"line {line} is not readable as UTF-8",
            f"{expected}; save it as 'CSV UTF-8' in a spreadsheet program",
        ) from None
    except csv.Error as error:
        raise TableFault(path, f"not readable as a CSV ({error})", expected) from None
    if not lines:
        raise TableFault(path, "empty", expected)
    return lines
