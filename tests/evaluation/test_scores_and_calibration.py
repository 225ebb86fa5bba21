"""Scores of predicted classes and of probabilities, against scikit-learn and closed forms."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from reactkd_auto.evaluation.bootstrap import PatientBootstrap
from reactkd_auto.evaluation.calibration import (
    brier_per_case,
    calibration_slope,
    expected_calibration_error,
    reliability_bins,
)
from reactkd_auto.evaluation.estimate import wilson
from reactkd_auto.evaluation.roc import BAND_GRID, roc_band, roc_curve
from reactkd_auto.evaluation.scores import (
    accuracy,
    balanced_accuracy,
    confusion_matrices,
    f1_macro,
    quadratic_kappa,
)


@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    labels, predicted = generator.integers(0, 4, 40), generator.integers(0, 4, 40)
    confusion = confusion_matrices(labels, predicted, 4)[0]
    assert (confusion == sk.confusion_matrix(labels, predicted, labels=range(4))).all()
    assert accuracy(confusion) == pytest.approx(sk.accuracy_score(labels, predicted))
    assert balanced_accuracy(confusion) == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert f1_macro(confusion) == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert quadratic_kappa(confusion) == pytest.approx(sk.cohen_kappa_score(labels, predicted, weights="quadratic"))


def test_a_class_without_cases_does_not_enter_balanced_accuracy():
    confusion = confusion_matrices(np.array([0, 0, 1]), np.array([0, 2, 1]), 3)[0]
    assert balanced_accuracy(confusion) == pytest.approx((0.5 + 1) / 2)


def test_kappa_is_undefined_where_chance_agrees_fully():
    assert np.isnan(quadratic_kappa(confusion_matrices(np.zeros(5, int), np.zeros(5, int), 3)[0]))


def test_weights_count_cases_again():
    labels, predicted = np.array([0, 1, 1]), np.array([0, 1, 0])
    weights = np.array([[1.0, 2, 3]])
    repeated = confusion_matrices(np.repeat(labels, [1, 2, 3]), np.repeat(predicted, [1, 2, 3]), 2)
    assert (confusion_matrices(labels, predicted, 2, weights) == repeated).all()


def test_brier_equals_scikit_learn_for_two_and_more_classes():
    generator = np.random.default_rng(0)
    for k in (2, 3):
        p, labels = generator.dirichlet(np.ones(k), 25), np.arange(25) % k
        ours = brier_per_case(labels, p).mean()
        squares = np.mean(((p - np.eye(k)[labels]) ** 2).sum(axis=1))
        assert ours == pytest.approx(squares / 2 if k == 2 else squares)
    assert ours > 0
    p, labels = generator.random(25), np.arange(25) % 2
    assert brier_per_case(labels, np.c_[1 - p, p]).mean() == pytest.approx(sk.brier_score_loss(labels, p))


def test_ece_of_a_hand_worked_example():
    # Bin (0.7, 0.8]: mean confidence 0.75, half right: gap 0.25 with 2 of 4. Bin (0.9, 1]: 0.95, all right: 0.05.
    p = np.array([0.74, 0.76, 0.94, 0.96])
    labels = np.array([0, 1, 0, 0])
    assert expected_calibration_error(labels, np.c_[p, 1 - p]) == pytest.approx(0.25 * 0.5 + 0.05 * 0.5)
    assert math.isnan(expected_calibration_error(np.array([], int), np.zeros((0, 2))))


@pytest.mark.parametrize("true_slope", [0.5, 1.0, 2.0])
def test_two_class_slope_equals_logistic_regression_on_the_log_odds(true_slope):
    generator = np.random.default_rng(1)
    log_odds = generator.normal(size=400)
    labels = (generator.random(400) < 1 / (1 + np.exp(-true_slope * log_odds))).astype(int)
    p = 1 / (1 + np.exp(-log_odds))
    fitted = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(log_odds[:, None], labels)
    assert calibration_slope(labels, np.c_[1 - p, p]).value == pytest.approx(fitted.coef_[0, 0], rel=1e-3)


def test_slope_of_many_classes_undoes_a_temperature():
    generator = np.random.default_rng(2)
    logits = 1.5 * generator.normal(size=(3000, 4))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(4, p=row) for row in truth])
    sharpened = truth**2 / (truth**2).sum(axis=1, keepdims=True)
    assert calibration_slope(labels, truth).value == pytest.approx(1, abs=0.08)
    assert calibration_slope(labels, sharpened).value == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("p", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.4, 0.4, 0.4, 0.4], [0.1, 0.5, 0.5, 0.9]])
def test_slope_without_a_finite_best_is_undefined_with_a_reason(p):
    estimate = calibration_slope(np.array([0, 0, 1, 1]), np.c_[1 - np.array(p), p])
    assert estimate.value is None
    assert "no finite slope" in estimate.reason


def test_slope_of_separated_three_classes_is_undefined_but_of_overlapping_ones_not():
    labels = np.arange(12) % 3
    p = np.eye(3)[labels] * 0.4 + 0.2
    assert calibration_slope(labels, p).value is None
    p[:3] = p[[1, 2, 0]]
    assert math.isfinite(calibration_slope(labels, p).value)


def test_slope_of_one_class_is_undefined():
    assert calibration_slope(np.zeros(3, int), np.full((3, 2), 0.5)).value is None


def test_reliability_bins_hold_every_case_once_and_rise():
    p = np.random.default_rng(3).random(57)
    bins = reliability_bins(p > 0.5, p)
    assert sum(b.n for b in bins) == 57
    assert min(b.n for b in bins) >= 8
    assert [b.probability for b in bins] == sorted(b.probability for b in bins)
    assert bins[0].observed.value == 0
    assert bins[-1].observed.value == 1
    assert reliability_bins(np.array([], bool), np.array([])) == ()


def test_wilson_interval_of_a_published_example():
    # Newcombe, Stat. Med. 1998, table I: 81 of 263, and 0 of 20.
    some, none = wilson(81, 263), wilson(0, 20)
    assert (some.low, some.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (none.low, none.high) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(0, 0).value is None


def test_roc_curve_equals_scikit_learn_and_lies_in_its_band():
    generator = np.random.default_rng(4)
    positive = np.arange(60) % 2 == 0
    scores = np.round(generator.normal(size=60) + positive, 1)
    false, true = roc_curve(positive, scores)
    expected_false, expected_true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    assert false == pytest.approx(expected_false)
    assert true == pytest.approx(expected_true)
    low, high = roc_band(positive, scores, PatientBootstrap(positive.astype(int), np.arange(60), 200, seed=0))
    on_grid = np.interp(BAND_GRID, false, true)
    assert (low <= on_grid + 0.04).all()
    assert (high >= on_grid - 0.04).all()
    assert (high - low).max() > 0.1
