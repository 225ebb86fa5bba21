"""Columns in which tables of predictions tell what calibration did; `evaluation` reads them back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

UNCALIBRATED_PREFIX = "uncalibrated_p_"
"""Before a class's name: its averaged probability as the networks gave it."""
PREDICTION_SET, SET_COVERAGE = "prediction_set", "set_coverage"
SEPARATOR = "|"


def calibration_columns(classes: Sequence[str]) -> list[str]:
    """Names of the columns."""
    return [*(f"{UNCALIBRATED_PREFIX}{c}" for c in classes), PREDICTION_SET, SET_COVERAGE]


def set_text(names: Iterable[str]) -> str:
    """Classes of a prediction set in one cell."""
    return SEPARATOR.join(names)


def set_names(text: str) -> tuple[str, ...]:
    """Classes that a cell names."""
    return tuple(text.split(SEPARATOR)) if text else ()
