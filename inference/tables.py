"""`predictions.csv`, `predictions.json`, `lesions.csv` and `regions.csv`, assembled from the answers of all cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from reactkd_auto.calibration.columns import calibration_columns, set_text
from reactkd_auto.inference.results import CaseResult, RegionRow
from reactkd_auto.jsonio import write_json, write_text
from reactkd_auto.tables import csv_text


def prediction_columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``predictions.csv``."""
    return [
        "case",
        "status",
        "predicted_class",
        *(f"p_{c}" for c in classes),
        *calibration_columns(classes),
        "uncertainty_std",
        "std_folds",
        "std_flips",
        "entropy",
        "mutual_information",
        "members",
        "noise_hu",
        "noise_trained_low_hu",
        "noise_trained_high_hu",
        "regions_from",
        "warnings",
        "reason",
    ]


def region_columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``regions.csv``."""
    own = ["case", "node", "kind", "volume_mm3", "attention", "importance", "importance_std", "grade"]
    return [*own, *(f"p_{c}" for c in classes)]


def lesion_columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``lesions.csv``."""
    own = ["case", "lesion", "volume_mm3", "x_mm", "y_mm", "z_mm", "grade"]
    return [*own, *(f"p_{c}" for c in classes), "attention", "importance", "importance_std"]


def write_tables(output: Path, results: Sequence[CaseResult], classes: Sequence[str]) -> None:
    """Write the four tables; numbers are rounded to 6 decimals, empty means that there is no answer."""
    predictions = [_prediction_row(r, classes) for r in results]
    regions = [_region_row(r.case, row, classes) for r in results for row in r.regions]
    lesions = [_lesion_row(r.case, row, classes) for r in results for row in r.regions if row.grade is not None]
    write_text(Path(output) / "predictions.csv", csv_text(prediction_columns(classes), predictions))
    write_text(Path(output) / "regions.csv", csv_text(region_columns(classes), regions))
    write_text(Path(output) / "lesions.csv", csv_text(lesion_columns(classes), lesions))
    write_json(Path(output) / "predictions.json", {"classes": list(classes), "cases": list(results)})


def _prediction_row(result: CaseResult, classes: Sequence[str]) -> list[str]:
    return [
        result.case,
        result.status,
        result.predicted_class or "",
        *_numbers(result.probabilities or [None] * len(classes)),
        *_numbers(result.uncalibrated or [None] * len(classes)),
        set_text(result.prediction_set),
        "" if result.set_coverage is None else f"{result.set_coverage:g}",
        *_numbers([result.uncertainty_std, result.std_folds, result.std_flips]),
        *_numbers([result.entropy, result.mutual_information]),
        str(result.members),
        *_one_decimal([result.noise_hu, *(result.noise_trained_hu or (None, None))]),
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


def _lesion_row(case: str, row: RegionRow, classes: Sequence[str]) -> list[str]:
    return [
        case,
        row.node,
        f"{row.volume_mm3:.1f}",
        *_one_decimal(row.centroid_mm or [None] * 3),
        row.grade or "",
        *_numbers(row.probabilities or [None] * len(classes)),
        *_numbers([row.attention, row.importance, row.importance_std]),
    ]


def _one_decimal(values: Iterable[float | None]) -> list[str]:
    return ["" if v is None else f"{v:.1f}" for v in values]


def _numbers(values: Iterable[float | None]) -> list[str]:
    return ["" if v is None else f"{v:.6f}" for v in values]
