"""Prediction sets: promises kept in simulation, p-values counted by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from reactkd_auto.calibration.conformal import (
    FEWEST_PER_CLASS,
    fewest_patients,
    is_per_class,
    nonconformity,
    one_a_patient,
    p_values,
    prediction_sets,
)


def draw(n, rng, shares=(0.8, 0.2)):
    """Labels and answers of a classifier that favours the large class."""
    labels = rng.choice(len(shares), n, p=shares)
    logits = rng.normal(0, 1, (n, len(shares))) + 1.2 * np.eye(len(shares))[labels] + np.log(shares)
    return labels, softmax(logits, axis=1)


def coverages(*, per_class, n, runs=400, shares=(0.8, 0.2), coverage=0.9):
    """Coverage of all cases and of each class, over many calibrations of n cases."""
    rng = np.random.default_rng(0)
    right = []
    for _ in range(runs):
        labels, answers = draw(n, rng, shares)
        scores = nonconformity(labels, answers)
        test, shown = draw(200, rng, shares)
        kept = prediction_sets(shown, scores, coverage=coverage, per_class=per_class)
        inside = kept[np.arange(200), test]
        right.append([inside.mean(), *(inside[test == k].mean() for k in range(len(shares)))])
    return np.mean(right, axis=0)


def test_sets_over_all_cases_hold_the_true_class_as_often_as_promised():
    overall, *_ = coverages(per_class=False, n=60)
    assert 0.895 <= overall <= 0.92


def test_sets_per_class_keep_the_promise_for_the_rare_class_where_common_ones_do_not():
    _, _, rare = coverages(per_class=False, n=150)
    assert rare < 0.8
    _, common, rare = coverages(per_class=True, n=150)
    assert rare >= 0.89
    assert common >= 0.89


def test_three_classes_keep_the_promise_too():
    assert (coverages(per_class=True, n=150, shares=(0.5, 0.3, 0.2))[1:] >= 0.89).all()


def test_p_values_count_the_cases_that_look_at_least_as_strange():
    scores = ((0.1, 0.4), (0.2, 0.6, 0.9))
    found = p_values(np.array([[0.6, 0.4]]), scores, per_class=True)
    np.testing.assert_allclose(found, [[2 / 3, 3 / 4]])
    found = p_values(np.array([[0.6, 0.4]]), scores, per_class=False)
    np.testing.assert_allclose(found, [[4 / 6, 3 / 6]])


def test_too_few_cases_exclude_nothing_and_the_first_enough_do():
    few = fewest_patients(0.9)
    assert few == 9
    for n, size in ((few - 1, 2), (few, 1)):
        kept = prediction_sets(np.array([[0.99, 0.01]]), ((0.05,) * n, ()), coverage=0.9, per_class=False)
        assert kept.sum() == size


def test_a_set_is_never_empty():
    kept = prediction_sets(np.array([[0.45, 0.55]]), ((0.01,) * 50, (0.01,) * 50), coverage=0.9, per_class=False)
    assert kept.tolist() == [[False, True]]


def test_a_class_without_any_case_is_never_excluded():
    kept = prediction_sets(np.array([[0.99, 0.01]]), ((0.1,) * 30, ()), coverage=0.9, per_class=True)
    assert kept.tolist() == [[True, True]]


def test_promises_per_class_take_enough_patients_of_every_class():
    assert is_per_class([[0.1] * FEWEST_PER_CLASS] * 2)
    assert not is_per_class([[0.1] * FEWEST_PER_CLASS, [0.1] * (FEWEST_PER_CLASS - 1)])


def test_one_case_of_each_patient_is_drawn_and_the_seed_says_which():
    patients = list("aabbbcddde")
    chosen = one_a_patient(patients, seed=0)
    assert sorted(patients[i] for i in chosen) == list("abcde")
    assert (chosen == one_a_patient(patients, seed=0)).all()
    seen = {i for seed in range(60) for i in one_a_patient(patients, seed).tolist()}
    assert seen == set(range(10))


@pytest.mark.parametrize("per_class", [True, False])
def test_many_cases_of_one_patient_do_not_change_what_one_case_a_patient_promises(per_class):
    rng = np.random.default_rng(1)
    right = []
    for _ in range(300):
        labels, answers = draw(80, rng, (0.5, 0.5))
        copies = rng.integers(1, 9, 80)  # a patient's cases look alike
        patients = np.repeat(np.arange(80), copies).astype(str)
        many = np.repeat(labels, copies), np.repeat(answers, copies, axis=0)
        one = one_a_patient(patients.tolist(), seed=0)
        test, shown = draw(200, rng, (0.5, 0.5))
        kept = prediction_sets(shown, nonconformity(many[0][one], many[1][one]), coverage=0.9, per_class=per_class)
        right.append(kept[np.arange(200), test].mean())
    assert 0.89 <= np.mean(right) <= 0.93
