"""Decision curves against their definition and against what a decision maker knows without them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactkd_auto.evaluation.decisions import THRESHOLDS, decision_curves, net_benefit, questions
from reactkd_auto.evaluation.sample import sample_of
from tests.evaluation.test_metrics import table

CLASSES = ["low", "middle", "high"]


def test_net_benefit_of_a_worked_example():
    """100 patients, 30 ill; at t = 0.2 the model acts on 25 ill and 20 healthy: 0.25 − 0.20 · 0.25 = 0.20."""
    positive = np.arange(100) < 30
    probability = np.where(positive, np.where(np.arange(100) < 25, 0.6, 0.1), np.where(np.arange(100) < 50, 0.3, 0.05))
    assert net_benefit(positive, probability, np.array([0.2]), np.ones((1, 100)))[0, 0] == pytest.approx(0.20)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.integers(1, 3)), min_size=1, max_size=30))
def test_weights_are_repeated_cases_counted_one_by_one(cases):
    thresholds = np.array([0.1, 0.5, 0.8])
    positive, probability, weights = (np.array(column) for column in zip(*cases, strict=True))
    expected = []
    for t in thresholds:
        right = sum(w for y, p, w in cases if p >= t and y)
        needless = sum(w for y, p, w in cases if p >= t and not y)
        expected.append((right - needless * t / (1 - t)) / weights.sum())
    assert net_benefit(positive, probability, thresholds, weights[None].astype(float))[0] == pytest.approx(expected)


def test_always_acting_costs_what_the_prevalence_says_and_the_truth_is_best():
    rows = table(classes=["benign", "malignant"], n=60)
    rows["p_malignant"] = (rows["label"] == "malignant") * 1.0
    rows["p_benign"] = 1 - rows["p_malignant"]
    (curve,) = decision_curves(sample_of(rows, ["benign", "malignant"]), ordered=False, seed=0)
    t = np.array(curve.thresholds)
    assert curve.treat_all == pytest.approx(0.5 - 0.5 * t / (1 - t))
    assert curve.net_benefit == pytest.approx(np.full(t.size, 0.5))
    assert all(curve.better)
    assert curve.useful_range == "2%–98%"


def test_a_model_that_knows_nothing_is_called_better_no_more_often_than_the_interval_promises():
    better = []
    for seed in range(20):
        rows = table(seed, classes=["benign", "malignant"], n=120, shift=0.0)
        (curve,) = decision_curves(sample_of(rows, ["benign", "malignant"]), ordered=False, seed=seed)
        better.append(np.mean(curve.better))
    assert np.mean(better) <= 0.025


def test_the_band_holds_the_curve():
    rows = table(classes=["benign", "malignant"], n=120)
    (curve,) = decision_curves(sample_of(rows, ["benign", "malignant"]), ordered=False, seed=0)
    low, value, high = map(np.array, (curve.low, curve.net_benefit, curve.high))
    assert np.all(low <= value + 1e-12)
    assert np.all(value <= high + 1e-12)
    assert np.ptp(high - low) > 0


def test_grades_are_decided_by_steps_and_unordered_classes_one_by_one():
    assert questions(["benign", "malignant"], ordered=True) == {"malignant": (1,)}
    assert questions(CLASSES, ordered=True) == {"middle or higher": (1, 2), "high": (2,)}
    assert questions(CLASSES, ordered=False) == {"low": (0,), "middle": (1,), "high": (2,)}


def test_a_class_without_cases_poses_no_question():
    rows = table()
    rows = rows[rows["label"] != "high"]
    curves = decision_curves(sample_of(rows, CLASSES), ordered=False, seed=0)
    assert [c.question for c in curves] == ["low", "middle"]
    assert curves[0].thresholds == tuple(THRESHOLDS)
