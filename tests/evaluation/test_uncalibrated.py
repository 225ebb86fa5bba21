"""Before and after calibration, and prediction sets, from the columns that prediction writes."""

import csv
import json

import numpy as np
import pytest
from scipy.special import softmax

from reactkd_auto.calibration import scaled
from reactkd_auto.calibration.columns import calibration_columns, set_text
from reactkd_auto.evaluation.run import evaluate
from reactkd_auto.tables import csv_text

CLASSES = ("low", "high")
N = 120


@pytest.fixture
def files(tmp_path):
    """Overconfident answers, calibrated by halving their logits."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, N)
    labels = (1 / (1 + np.exp(-odds)) > rng.random(N)).astype(int)
    raw = softmax(np.stack([np.zeros(N), 2 * odds], axis=1), axis=1)
    calibrated = scaled(raw, 2.0)
    columns = ["case", "status", "predicted_class", "p_low", "p_high", *calibration_columns(CLASSES)]
    rows = [
        [f"c{i}", "classified", CLASSES[int(raw[i].argmax())], *calibrated[i].round(6), *raw[i].round(6),
         set_text(CLASSES if i % 4 == 0 else [CLASSES[int(raw[i].argmax())]]), "0.9"]
        for i in range(N)
    ]  # fmt: skip
    rows.append(["x", "not classified", "", "", "", "", "", "", ""])
    (tmp_path / "predictions.csv").write_text(csv_text(columns, rows))
    names = [[f"c{i}", CLASSES[k]] for i, k in enumerate(labels)] + [["x", "low"]]
    (tmp_path / "labels.csv").write_text(csv_text(["case", "label"], names))
    return tmp_path


def run(folder):
    return evaluate(folder / "predictions.csv", folder / "labels.csv", folder / "out")


def test_scores_before_are_those_of_a_table_that_never_was_calibrated(files):
    both = run(files)
    rows = list(csv.DictReader((files / "predictions.csv").open()))
    plain = [[r["case"], r["status"], r["predicted_class"], *(r[f"uncalibrated_p_{c}"] for c in CLASSES)] for r in rows]
    (files / "predictions.csv").write_text(csv_text(["case", "status", "predicted_class", "p_low", "p_high"], plain))
    alone = run(files)
    assert alone.uncalibrated is None
    assert alone.prediction_sets is None
    assert both.uncalibrated.brier == alone.brier
    assert both.uncalibrated.calibration_slope == alone.calibration_slope
    assert both.macro_auc == alone.macro_auc
    assert both.brier.value < both.uncalibrated.brier.value
    assert both.calibration_slope.value == pytest.approx(2 * both.uncalibrated.calibration_slope.value, rel=1e-3)


def test_sets_are_counted(files):
    found = run(files).prediction_sets
    rows = [r for r in csv.DictReader((files / "predictions.csv").open()) if r["status"] == "classified"]
    truth = {r["case"]: r["label"] for r in csv.DictReader((files / "labels.csv").open())}
    held = [truth[r["case"]] in r["prediction_set"].split("|") for r in rows]
    assert found.promised == 0.9
    assert found.coverage.value == pytest.approx(np.mean(held))
    assert found.mean_size == pytest.approx(1.25)
    assert found.single.value == pytest.approx(0.75)
    high = [h for h, r in zip(held, rows, strict=True) if truth[r["case"]] == "high"]
    assert found.per_class[1].coverage.value == pytest.approx(np.mean(high))


def test_page_picture_and_tables_tell_both(files):
    run(files)
    page = (files / "out" / "evaluation.html").read_text()
    assert "Before and after calibration" in page
    assert "Prediction sets" in page
    assert "not calibrated" in (files / "out" / "calibration.svg").read_text()
    metrics = json.loads((files / "out" / "metrics.json").read_text())
    assert metrics["uncalibrated"]["brier"]["value"] > metrics["brier"]["value"]
    named = {r["metric"] for r in csv.DictReader((files / "out" / "metrics.csv").open())}
    assert {"brier, not calibrated", "set coverage", "set size"} <= named


@pytest.mark.parametrize("column", ["uncalibrated_p_low", "set_coverage"])
def test_a_column_that_is_empty_for_some_case_is_as_none(files, column):
    rows = list(csv.DictReader((files / "predictions.csv").open()))
    for row in rows[: N if column == "set_coverage" else 1]:
        row[column] = ""
    (files / "predictions.csv").write_text(csv_text(list(rows[0]), [list(r.values()) for r in rows]))
    found = run(files)
    assert (found.uncalibrated is None) == (column == "uncalibrated_p_low")
    assert (found.prediction_sets is None) == (column == "set_coverage")
