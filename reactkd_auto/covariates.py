"""Clinical covariates: columns of a table by case. A missing value is normal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from .dataset import Covariate, Dataset
from .errors import UserError
from .jsonio import write_text
from .tables import csv_text, read_csv

FILE = "covariates.csv"
"""Of a preprocessed dataset that has any."""
MISSING = math.nan
Values = tuple[float, ...]
"""One number a covariate of the dataset, in its order: the value itself, the category's index, or NaN if missing."""


def read_covariates(path: Path, covariates: Sequence[Covariate]) -> dict[str, Values]:
    """Values by case, from a table with the columns ``case`` and the covariates' names; others are not looked at.

    Raises:
        UserError: As `reactkd_auto.tables.read_csv`; a case stands there twice, or a value is no number or unknown
            category.
    """
    values: dict[str, Values] = {}
    for line, row in enumerate(read_csv(path, ["case", *(c.name for c in covariates)]), start=2):
        case = row["case"]
        if case in values:
            raise UserError(f"{path}: case {case!r} stands in more than one row, expected one row a case.")
        values[case] = tuple(_value(c, row[c.name], f"{path}, line {line}") for c in covariates)
    return values


def write_covariates(folder: Path, values: Mapping[str, Values], covariates: Sequence[Covariate]) -> None:
    """Write ``covariates.csv``, which `read_covariates` reads."""
    rows = [[case, *(_cell(c, v) for c, v in zip(covariates, values[case], strict=True))] for case in sorted(values)]
    write_text(Path(folder) / FILE, csv_text(["case", *(c.name for c in covariates)], rows))


def stored_covariates(preprocessed: Path, dataset: Dataset) -> dict[str, Values]:
    """Values by case of a preprocessed dataset; empty where it has no covariates."""
    return read_covariates(preprocessed / FILE, dataset.covariates) if dataset.covariates else {}


def unknown(covariates: Sequence[Covariate]) -> Values:
    """Nothing is known of a case."""
    return (MISSING,) * len(covariates)


def parse_value(covariate: Covariate, text: str) -> float:
    """What a cell says.

    Raises:
        ValueError: It says nothing that the covariate may; the message is what was expected.
    """
    text = text.strip()
    if not text:
        return MISSING
    if covariate.kind == "categorical":
        if text not in covariate.categories:
            raise ValueError(f"one of {', '.join(covariate.categories)}, or empty")
        return float(covariate.categories.index(text))
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a number, or empty")
    return number


def _value(covariate: Covariate, text: str, where: str) -> float:
    try:
        return parse_value(covariate, text)
    except ValueError as error:
        raise UserError(f"{where}: {covariate.name} {text.strip()!r}, expected {error}.") from None


def _cell(covariate: Covariate, value: float) -> str:
    if math.isnan(value):
        return ""
    return covariate.categories[int(value)] if covariate.kind == "categorical" else repr(value)
