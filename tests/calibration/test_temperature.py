"""Temperature scaling: what it finds, what it never changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from reactkd_auto.calibration.temperature import LIMIT, fit_temperature, scaled


def overconfident(n, classes, temperature, seed=0):
    """Labels drawn from softmax(z), and the answer softmax(T z)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    labels = (softmax(logits, axis=1).cumsum(1) > rng.random((n, 1))).argmax(1)
    return labels, softmax(temperature * logits, axis=1)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_recovered(true, classes):
    labels, answers = overconfident(20_000, classes, true)
    found = fit_temperature(labels, answers)
    assert found.value == pytest.approx(true, rel=0.05)
    assert found.unshrunk == pytest.approx(found.value, rel=0.01)


def test_the_unshrunk_one_agrees_with_logistic_regression_without_offset():
    from sklearn.linear_model import LogisticRegression

    labels, answers = overconfident(300, 2, 2.0)
    odds = np.log(answers[:, 1] / answers[:, 0])[:, None]
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8).fit(odds, labels).coef_[0, 0]
    assert fit_temperature(labels, answers).unshrunk == pytest.approx(1 / slope, rel=1e-3)


def test_few_cases_are_pulled_towards_one_and_none_leave_it_there():
    labels, answers = overconfident(20_000, 2, 4.0)
    found = [fit_temperature(labels[:n], answers[:n]).value for n in (0, 10, 200, 20_000)]
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert 1 < found[1] < found[3]
    assert abs(found[2] - 4) < abs(found[1] - 4)


@pytest.mark.parametrize("right", [True, False])
def test_answers_that_are_all_right_or_all_wrong_have_a_finite_temperature(right):
    answers = np.tile([0.1, 0.9], (30, 1))
    found = fit_temperature(np.full(30, int(right)), answers)
    assert found.unshrunk is None
    assert 1 / LIMIT < found.value < LIMIT
    assert (found.value < 1) == right


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-5, 1 - 1e-5), min_size=2, max_size=30), st.floats(0.1, 10))
def test_two_classes_keep_the_order_of_cases(values, temperature):
    p = np.array(values)
    after = scaled(np.stack([1 - p, p], axis=1), temperature)[:, 1]
    assert (np.diff(after[np.argsort(p, kind="stable")]) >= -1e-12).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-5, 1), min_size=2, max_size=6), st.floats(0.1, 10))
def test_a_case_keeps_the_order_of_its_classes_and_sums_to_one(values, temperature):
    p = np.array(values) / np.sum(values)
    after = scaled(p, temperature)
    assert after.sum() == pytest.approx(1)
    assert (np.diff(after[np.argsort(p, kind="stable")]) >= -1e-12).all()


def test_temperature_one_changes_nothing():
    p = softmax(np.random.default_rng(0).normal(size=(5, 3)), axis=1)
    np.testing.assert_allclose(scaled(p, 1.0), p, atol=1e-12)
