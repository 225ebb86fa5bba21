"""The patient bootstrap: what it keeps together, and what it gives."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reactkd_auto.evaluation.bootstrap import (
    PatientBootstrap,
    bootstrap_macro_auc,
    macro_auc,
    macro_auc_with_interval,
    weighted_auc,
)
from reactkd_auto.evaluation.sample import Sample


def sample(labels, probabilities, patients=None, classes=None):
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    n, k = probabilities.shape
    return Sample(
        cases=tuple(f"c{i}" for i in range(n)),
        patients=np.arange(n) if patients is None else np.asarray(patients),
        labels=labels,
        predicted=probabilities.argmax(axis=1),
        probabilities=probabilities,
        classes=classes or tuple("abcdefgh"[:k]),
    )


def three_classes(generator, n, shift=1.0):
    labels = np.arange(n) % 3
    scores = generator.normal(size=(n, 3)) + shift * np.eye(3)[labels]
    odds = np.exp(scores)
    return labels, odds / odds.sum(axis=1, keepdims=True)


def all_weights(bootstrap):
    return np.concatenate(list(bootstrap.weights()))


def test_cases_of_one_patient_are_always_drawn_together():
    patients = np.array([7, 7, 7, 3, 3, 9, 1, 1, 5, 5])
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 1, 0])
    weights = all_weights(PatientBootstrap(labels, patients, 300, seed=1))
    for patient in np.unique(patients):
        assert (np.ptp(weights[:, patients == patient], axis=1) == 0).all()
    assert (np.ptp(weights, axis=0) > 0).all()


def test_every_class_keeps_its_number_of_patients_in_every_draw():
    labels = np.array([0] * 12 + [1] * 5 + [2] * 3)
    weights = all_weights(PatientBootstrap(labels, np.arange(20), 400, seed=2))
    for label, n in ((0, 12), (1, 5), (2, 3)):
        assert (weights[:, labels == label].sum(axis=1) == n).all()


def test_each_patient_is_drawn_once_on_average_with_binomial_spread():
    weights = all_weights(PatientBootstrap(np.array([0] * 10 + [1] * 10), np.arange(20), 4000, seed=3))
    assert weights.mean(axis=0) == pytest.approx(np.ones(20), abs=0.08)
    assert weights.var(axis=0) == pytest.approx(np.full(20, 0.9), abs=0.1)


def test_same_seed_same_draws_and_other_seed_others():
    labels = np.arange(12) % 2
    one, again, other = (all_weights(PatientBootstrap(labels, np.arange(12), 300, seed=s)) for s in (4, 4, 5))
    assert (one == again).all()
    assert (one != other).any()


def test_weighted_auc_is_the_auc_of_the_cases_repeated():
    generator = np.random.default_rng(0)
    positive, scores = np.arange(15) % 3 == 0, generator.integers(0, 6, 15).astype(float)
    weights = generator.integers(0, 4, (6, 15))
    weights[:, :2] += 1
    for row, area in zip(weights, weighted_auc(positive, scores, weights), strict=True):
        assert area == pytest.approx(roc_auc_score(np.repeat(positive, row), np.repeat(scores, row)), abs=1e-12)


def test_weighted_auc_of_an_empty_side_is_not_a_number():
    assert np.isnan(weighted_auc(np.array([True, False]), np.array([0.1, 0.2]), np.array([[1.0, 0.0]]))).all()


def test_macro_auc_equals_scikit_learn():
    labels, probabilities = three_classes(np.random.default_rng(1), 30)
    expected = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert macro_auc(labels, probabilities, np.ones((1, 30)))[0] == pytest.approx(expected, abs=1e-12)
    assert macro_auc_with_interval(sample(labels, probabilities), seed=0).value == pytest.approx(expected, abs=1e-12)


def test_copying_cases_within_patients_does_not_narrow_the_macro_interval():
    labels, probabilities = three_classes(np.random.default_rng(2), 45)
    plain = macro_auc_with_interval(sample(labels, probabilities), seed=0)
    copied = sample(np.tile(labels, 4), np.tile(probabilities, (4, 1)), patients=np.tile(np.arange(45), 4))
    grouped = macro_auc_with_interval(copied, seed=0)
    alone = macro_auc_with_interval(sample(copied.labels, copied.probabilities), seed=0)
    assert grouped.high - grouped.low == pytest.approx(plain.high - plain.low, rel=0.05)
    assert alone.high - alone.low < 0.7 * (plain.high - plain.low)
    assert "2000" in plain.method


def test_macro_interval_covers_the_true_macro_auc():
    generator = np.random.default_rng(6)
    truth = macro_auc(*three_classes(generator, 30000, shift=1.5), np.ones((1, 30000)))[0]
    covered = 0
    for i in range(300):
        estimate = macro_auc_with_interval(sample(*three_classes(generator, 42, shift=1.5)), seed=i, replicates=200)
        covered += estimate.low <= truth <= estimate.high
    assert 0.91 <= covered / 300 <= 0.99


def test_two_classes_have_one_auc_and_one_interval():
    generator = np.random.default_rng(3)
    labels = np.arange(30) % 2
    p = 1 / (1 + np.exp(-generator.normal(size=30) - labels))
    estimate = macro_auc_with_interval(sample(labels, np.c_[1 - p, p]), seed=0)
    assert estimate.value == pytest.approx(roc_auc_score(labels, p))
    assert estimate.method.startswith("DeLong")


def test_a_class_without_cases_is_left_out_and_named():
    labels, probabilities = three_classes(np.random.default_rng(4), 30)
    keep = labels != 2
    estimate = macro_auc_with_interval(sample(labels[keep], probabilities[keep], classes=("x", "y", "z")), seed=0)
    expected = np.mean([roc_auc_score(labels[keep] == k, probabilities[keep, k]) for k in (0, 1)])
    assert estimate.value == pytest.approx(expected)
    assert "z" in estimate.reason


def test_only_one_class_gives_a_reason():
    estimate = macro_auc_with_interval(sample([0, 0], [[0.9, 0.1], [0.8, 0.2]]), seed=0)
    assert estimate.value is None
    assert "fewer than two classes" in estimate.reason


def test_perfect_separation_of_three_classes_has_a_lower_limit_below_one():
    labels = np.arange(21) % 3
    estimate = macro_auc_with_interval(sample(labels, np.eye(3)[labels] * 0.7 + 0.1), seed=0)
    assert estimate.value == 1
    assert 0.5 < estimate.low < 0.95
    assert estimate.high == 1


def test_a_draw_without_a_class_is_left_out():
    # Class 1 lives only in a patient whose other cases are of class 0, so a draw may miss it.
    labels, patients = np.array([0, 0, 0, 0, 1, 0]), np.array([0, 1, 2, 3, 3, 3])
    p = np.array([0.1, 0.3, 0.2, 0.4, 0.8, 0.3])
    areas = bootstrap_macro_auc(PatientBootstrap(labels, patients, 500, seed=0), [np.c_[1 - p, p]])
    assert np.isfinite(areas).all()
    assert 100 < len(areas) < 500
