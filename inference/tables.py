"""`predictions.csv`, `predictions.json` and `regions.csv`, assembled from the answers of all cases."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from reactkd_auto.inference.results import CaseResult, RegionRow
from reactkd_auto.jsonio import write_json, write_text


def prediction_columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``predictions.csv``."""
    return [
        "case",
        "status",
        "predicted_class",
        *(f"p_{c}" for c in classes),
        "uncertainty_std",
        "entropy",
        "members",
        "regions_from",
        "warnings",
        "reason",
    ]


def region_columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``regions.csv``."""
    own = ["case", "node", "kind", "volume_mm3", "attention", "importance", "importance_std", "grade"]
    return [*own, *(f"p_{c}" for c in classes)]


def write_tables(output: Path, results: Sequence[CaseResult], classes: Sequence[str]) -> None:
    """Write the three tables; numbers are rounded to 6 decimals, empty means that there is no answer."""
    predictions = [_prediction_row(r, classes) for r in results]
    regions = [_region_row(r.case, row, classes) for r in results for row in r.regions]
    write_text(Path(output) / "predictions.csv", _csv(prediction_columns(classes), predictions))
    write_text(Path(output) / "regions.csv", _csv(region_columns(classes), regions))
    write_json(Path(output) / "predictions.json", {"classes": list(classes), "cases": list(results)})


def _prediction_row(result: CaseResult, classes: Sequence[str]) -> list[str]:
    return [
        result.case,
        result.status,
        result.predicted_class or "",
        *_numbers(result.probabilities or [None] * len(classes)),
        *_numbers([result.uncertainty_std, result.entropy]),
        str(result.members),
        result.regions_from,
        " ".join(result.warnings),
        result.reason,
    ]


def _region_row(case: str, row: RegionRow, classes: Sequence[str]) -> list[str]:
    return [
        case,
        row.node,
        row.kind,
        f"{row.volume_mm3:.1f}",
        *_numbers([row.attention, row.importance, row.importance_std]),
        row.grade or "",
        *_numbers(row.probabilities or [None] * len(classes)),
    ]


def _numbers(values: Iterable[float | None]) -> list[str]:
    return ["" if v is None else f"{v:.6f}" for v in values]


def _csv(columns: list[str], rows: list[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
