"""The calibration document: what it is made of, says and refuses; cross-fitting."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import softmax

from reactkd_auto.calibration import HeldOut, fit_calibration, read_calibration, write_calibration
from reactkd_auto.calibration.crossed import cross_calibrate
from reactkd_auto.calibration.thresholds import best_threshold
from reactkd_auto.errors import UserError

CLASSES = ("low", "high")


def held_out(n, *, temperature=2.0, seed=0, folds=5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 2))
    labels = (softmax(logits, axis=1)[:, 1] > rng.random(n)).astype(np.int64)
    names = np.array([f"p{i}" for i in range(n)], dtype=object)
    return HeldOut(names, np.arange(n) % folds, labels, softmax(temperature * logits, axis=1))


def test_it_is_read_as_it_was_written(tmp_path):
    made = fit_calibration(held_out(60), CLASSES, seed=3)
    write_calibration(tmp_path, made)
    assert read_calibration(tmp_path) == made
    assert read_calibration(tmp_path / "nowhere") is None


def test_ungraded_cases_teach_it_nothing():
    graded = held_out(80)
    labels = np.where(np.arange(80) % 2, graded.labels, -1)
    with_some = fit_calibration(dataclasses.replace(graded, labels=labels), CLASSES, seed=0)
    alone = fit_calibration(graded.rows(labels >= 0), CLASSES, seed=0)
    assert with_some.temperature == alone.temperature
    assert with_some.scores == alone.scores
    assert with_some.cases == 40


def test_no_graded_case_leaves_probabilities_and_classes_alone():
    empty = held_out(20)
    made = fit_calibration(dataclasses.replace(empty, labels=np.full(20, -1)), CLASSES, seed=0)
    np.testing.assert_allclose(made.probabilities(np.array([0.3, 0.7])), [0.3, 0.7], atol=1e-4)
    assert made.set_of(np.array([0.01, 0.99])) == CLASSES
    assert made.thresholds == (None, None)
    assert "hold every class" in " ".join(made.notes)


def test_few_cases_are_said():
    notes = " ".join(fit_calibration(held_out(20, temperature=4, folds=1), CLASSES, seed=0).notes)
    assert "pulled towards 1" in notes
    assert "not for each class" in notes
    assert "fold 0 alone" in notes
    assert fit_calibration(held_out(2000), CLASSES, seed=0).notes == ()


def test_scores_hold_one_case_a_patient_and_name_none(tmp_path):
    cases = held_out(60)
    twins = dataclasses.replace(cases, patients=np.array([f"DOE{i // 2}" for i in range(60)], dtype=object))
    made = fit_calibration(twins, CLASSES, seed=0)
    assert (made.cases, made.patients, sum(map(len, made.scores))) == (60, 30, 30)
    write_calibration(tmp_path, made)
    assert "DOE" not in (tmp_path / "calibration.json").read_text()


def test_a_fold_is_judged_without_its_own_cases():
    cases = held_out(100)
    before = cross_calibrate(cases, CLASSES, seed=0)
    own = cases.folds == 2
    changed = dataclasses.replace(cases, labels=np.where(own, 1 - cases.labels, cases.labels))
    after = cross_calibrate(changed, CLASSES, seed=0)
    np.testing.assert_array_equal(before.probabilities[own], after.probabilities[own])
    np.testing.assert_array_equal(before.sets[own], after.sets[own])
    assert (before.probabilities[~own] != after.probabilities[~own]).any()


def test_crossed_sets_cover_and_calibrated_answers_are_better():
    cases = held_out(1500, temperature=3)
    crossed = cross_calibrate(cases, CLASSES, seed=0)
    rows = np.arange(1500)
    assert crossed.sets[rows, cases.labels].mean() == pytest.approx(0.9, abs=0.03)
    assert (
        -np.log(crossed.probabilities[rows, cases.labels]).mean()
        < -np.log(cases.probabilities[rows, cases.labels]).mean()
    )


def test_the_threshold_is_youdens():
    positive = np.array([False, False, True, False, True, True])
    probability = np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.9])
    found = best_threshold(positive, probability)
    trials = np.linspace(0, 1, 1001)
    gains = [(probability[positive] >= t).mean() + (probability[~positive] < t).mean() for t in trials]
    reached = (probability[positive] >= found).mean() + (probability[~positive] < found).mean()
    assert reached == max(gains)
    assert found not in probability
    assert best_threshold(np.array([True]), np.array([0.4])) is None


@pytest.mark.parametrize(("key", "value"), [("temperature", 0.0), ("coverage", 1.0), ("schema_version", 99)])
def test_a_damaged_document_is_refused_by_name(tmp_path, key, value):
    write_calibration(tmp_path, fit_calibration(held_out(30), CLASSES, seed=0))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UserError, match=r"calibration\.json"):
        read_calibration(tmp_path)
