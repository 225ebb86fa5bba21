"""Calibration at the end of training: made with every fold, and judged without the fold's own cases."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from reactkd_auto.calibration import HeldOut, fit_calibration, read_calibration, scaled
from reactkd_auto.training.calibrate import calibrate

CLASSES = ("low", "high")
FOLDS, CASES = 4, 80


def run_of(folder, labels):
    """What calibration needs of a run."""
    return SimpleNamespace(
        seed=0,
        dataset=SimpleNamespace(classes=CLASSES),
        model=SimpleNamespace(path=folder),
        cases={f"c{i}": SimpleNamespace(patient=f"p{i}", label=label) for i, label in enumerate(labels)},
    )


@pytest.fixture
def trained(tmp_path):
    """Four folds' answers of an overconfident model, and the run."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, CASES)
    labels = (1 / (1 + np.exp(-odds)) > rng.random(CASES)).astype(int).tolist()
    labels[3] = None
    high = (1 / (1 + np.exp(-3 * odds))).round(6)
    tables = []
    for fold in range(FOLDS):
        path = tmp_path / f"fold_{fold}.csv"
        rows = [
            f"c{i},{fold},classified,{CLASSES[int(high[i] > 0.5)]},{1 - high[i]:.6f},{high[i]:.6f},"
            for i in range(fold, CASES, FOLDS)
        ]
        path.write_text("\n".join(["case,fold,status,predicted_class,p_low,p_high,reason", *rows]) + "\n")
        tables.append(path)
    return run_of(tmp_path, labels), tables, tmp_path / "cross_validation" / "predictions.csv"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_fold_makes_a_calibration_and_no_pooled_table(trained):
    run, tables, pooled = trained
    notes = calibrate(run, tables[:1], pooled)
    made = read_calibration(run.model.path)
    assert made.folds == (0,)
    assert made.cases == CASES // FOLDS
    assert made.notes == notes
    assert "fold 0 alone" in " ".join(notes)
    assert not pooled.parent.exists()


def test_another_fold_makes_it_again(trained):
    run, tables, pooled = trained
    calibrate(run, tables[:1], pooled)
    calibrate(run, tables, pooled)
    made = read_calibration(run.model.path)
    assert (made.folds, made.cases) == ((0, 1, 2, 3), CASES - 1)
    assert made.temperature > 1.5


def test_pooled_probabilities_are_calibrated_by_the_other_folds_alone(trained):
    run, tables, pooled = trained
    calibrate(run, tables, pooled)
    table = rows_of(pooled)
    assert len(table) == CASES
    others = [r for r in table if r["fold"] != "1"]
    answers = np.array([[float(r[f"uncalibrated_p_{c}"]) for c in CLASSES] for r in others])
    cases = [run.cases[r["case"]] for r in others]
    held_out = HeldOut(
        np.array([c.patient for c in cases], dtype=object),
        np.array([int(r["fold"]) for r in others]),
        np.array([-1 if c.label is None else c.label for c in cases]),
        answers,
    )
    fitted = fit_calibration(held_out, CLASSES, seed=0)
    for row in (r for r in table if r["fold"] == "1"):
        raw = np.array([float(row[f"uncalibrated_p_{c}"]) for c in CLASSES])
        shown = [float(row[f"p_{c}"]) for c in CLASSES]
        np.testing.assert_allclose(shown, scaled(raw, fitted.temperature), atol=2e-6)
        assert row["prediction_set"].split("|") == list(fitted.set_of(raw))
        assert row["set_coverage"] == "0.9"


def test_uncalibrated_columns_are_the_folds_own_answers(trained):
    run, tables, pooled = trained
    calibrate(run, tables, pooled)
    own = {r["case"]: r["p_high"] for t in tables for r in rows_of(t)}
    assert {r["case"]: r["uncalibrated_p_high"] for r in rows_of(pooled)} == own


def test_sensitivity_and_specificity_are_counted_at_thresholds_of_other_folds(trained):
    run, tables, pooled = trained
    calibrate(run, tables, pooled)
    low, high = json.loads((pooled.parent / "thresholds.json").read_text())
    assert (low["name"], high["name"]) == CLASSES
    assert set(high["by_fold"]) == {"0", "1", "2", "3"}
    graded = [r for r in rows_of(pooled) if run.cases[r["case"]].label is not None]
    called = [float(r["p_high"]) >= high["by_fold"][r["fold"]] for r in graded]
    truth = [run.cases[r["case"]].label == 1 for r in graded]
    right = sum(c and t for c, t in zip(called, truth, strict=True))
    assert high["sensitivity"]["value"] == pytest.approx(right / sum(truth))
    assert high["threshold"] == read_calibration(run.model.path).thresholds[1]
