"""AUC, its variance and its interval against independent computations."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from reactkd_auto.evaluation.auc import (
    CLUSTERED,
    DELONG,
    SCORE,
    auc_with_interval,
    delong_components,
    delong_variance,
    rank_auc,
    score_limits,
)


def brute_auc(positive, scores):
    x, y = scores[positive], scores[~positive]
    return np.mean([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])


def binormal(generator, m, n, area):
    """Scores whose population AUC is ``area``: normals apart by √2 Φ⁻¹(area)."""
    from scipy.stats import norm

    positive = np.r_[np.ones(m, bool), np.zeros(n, bool)]
    return positive, generator.normal(size=m + n) + positive * math.sqrt(2) * norm.ppf(area)


@pytest.mark.parametrize("seed", range(8))
def test_auc_equals_scikit_learn_and_counting_pairs_with_ties(seed):
    generator = np.random.default_rng(seed)
    positive = generator.random(37) < 0.4
    scores = generator.integers(0, 9, 37) / 8.0
    assert rank_auc(positive, scores) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert rank_auc(positive, scores) == pytest.approx(brute_auc(positive, scores), abs=1e-12)


def test_auc_without_one_side_is_not_a_number():
    assert math.isnan(rank_auc([True, True], [0.1, 0.2]))
    assert math.isnan(rank_auc([], []))


def test_delong_variance_of_a_hand_worked_example():
    # Positives 3, 1; negatives 2, 0, 0. Pairs: 3 beats all (1, 1, 1); 1 beats 0, 0 only (0, 1, 1). AUC = 5/6.
    # V10 = (1, 2/3): variance 1/18. V01 = (1/2, 1, 1): variance 1/12. Var = (1/18)/2 + (1/12)/3 = 1/18.
    positive, scores = np.array([1, 1, 0, 0, 0], bool), np.array([3.0, 1, 2, 0, 0])
    of_positive, of_negative = delong_components(positive, scores)
    assert of_positive == pytest.approx([1, 2 / 3])
    assert of_negative == pytest.approx([1 / 2, 1, 1])
    assert delong_variance(positive, scores) == pytest.approx(1 / 18, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_delong_variance_equals_counting_pairs_with_ties(seed):
    generator = np.random.default_rng(seed)
    positive = np.arange(30) < 13
    scores = generator.integers(0, 12, 30) + 2.0 * positive
    wins = np.sign(scores[positive][:, None] - scores[~positive][None, :]) / 2 + 0.5
    expected = wins.mean(axis=1).var(ddof=1) / 13 + wins.mean(axis=0).var(ddof=1) / 17
    assert delong_variance(positive, scores) == pytest.approx(expected, rel=1e-12)


def test_grouping_every_case_alone_changes_nothing():
    positive, scores = binormal(np.random.default_rng(0), 12, 15, 0.8)
    names = [f"P{i}" for i in range(27)]
    assert delong_variance(positive, scores, groups=names) == pytest.approx(
        delong_variance(positive, scores), rel=1e-12
    )


def test_copying_every_case_into_its_patient_does_not_narrow_the_interval():
    positive, scores = binormal(np.random.default_rng(1), 30, 30, 0.8)
    patients = np.arange(60)
    plain = delong_variance(positive, scores)
    copied = [np.tile(a, 4) for a in (positive, scores, patients)]
    assert delong_variance(copied[0], copied[1], groups=copied[2]) == pytest.approx(plain, rel=1e-9)
    assert delong_variance(copied[0], copied[1]) < plain / 3
    assert auc_with_interval(copied[0], copied[1], groups=copied[2]).method == CLUSTERED


def test_clustered_variance_matches_resampling_of_new_patients():
    # Measured over 3,000 draws: estimate / truth 1.11 with 20 patients (it errs wide), 1.03 with 80, 1.01 with 200;
    # cases as if independent: 1.8 with any number.
    generator = np.random.default_rng(3)
    patients, positive = np.repeat(np.arange(80), 3), np.tile([True, False, False], 80)
    areas, grouped, independent = [], [], []
    for _ in range(600):
        scores = np.repeat(generator.normal(size=80), 3) + generator.normal(size=240) + positive
        areas.append(rank_auc(positive, scores))
        grouped.append(delong_variance(positive, scores, groups=patients))
        independent.append(delong_variance(positive, scores))
    truth = np.var(areas, ddof=1)
    assert np.mean(grouped) == pytest.approx(truth, rel=0.15)
    assert np.mean(independent) > 1.5 * truth


def test_logit_interval_covers_as_promised_with_forty_cases_and_auc_090():
    generator = np.random.default_rng(11)
    covered = wald = 0
    for _ in range(1500):
        positive, scores = binormal(generator, 20, 20, 0.9)
        estimate = auc_with_interval(positive, scores)
        covered += estimate.low <= 0.9 <= estimate.high
        half = 1.96 * math.sqrt(delong_variance(positive, scores))
        wald += abs(estimate.value - 0.9) <= half
    assert 0.92 <= covered / 1500 <= 0.98
    assert covered > wald


@pytest.mark.parametrize(("sign", "area"), [(1, 1.0), (-1, 0.0)])
def test_perfect_separation_has_an_interval_of_some_width(sign, area):
    positive = np.arange(40) < 20
    estimate = auc_with_interval(positive, sign * (positive + 0.001 * np.arange(40)))
    assert estimate.value == area
    assert estimate.method == SCORE
    assert "separated" in estimate.reason
    far = estimate.low if area == 1 else 1 - estimate.high
    assert 0.8 < far < 0.95
    assert (estimate.high if area == 1 else estimate.low) == area


def test_newcombe_limits_solve_their_equation_and_mirror():
    low, high = score_limits(0.8, 20, 30)
    assert score_limits(0.2, 20, 30) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    for a in (low, high):
        extra = (20 + 30) / 2 - 1
        variance = a * (1 - a) / 600 * (1 + extra * ((1 - a) / (2 - a) + a / (1 + a)))
        assert abs(a - 0.8) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-5)


@pytest.mark.parametrize(
    ("positive", "scores", "reason"),
    [([0, 0, 0], [0.1, 0.2, 0.3], "no case"), ([1, 1], [0.1, 0.2], "every case"), ([], [], "no case")],
)
def test_a_missing_side_gives_no_value_but_a_reason(positive, scores, reason):
    estimate = auc_with_interval(np.array(positive, bool), scores)
    assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
    assert reason in estimate.reason


def test_constant_scores_are_exactly_a_coin():
    estimate = auc_with_interval(np.arange(10) < 4, np.full(10, 0.3))
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_one_positive_patient_still_gets_a_wide_interval_with_the_reason():
    estimate = auc_with_interval(np.array([1, 0, 0, 0, 0], bool), [0.6, 0.1, 0.7, 0.2, 0.3])
    assert estimate.value == 0.75
    assert estimate.method == SCORE
    assert estimate.low < 0.3
    assert "fewer than two" in estimate.reason


def test_interval_is_named_and_mirrors_with_the_scores():
    positive, scores = binormal(np.random.default_rng(5), 15, 25, 0.85)
    estimate, mirrored = auc_with_interval(positive, scores), auc_with_interval(positive, -scores)
    assert estimate.method == DELONG
    assert mirrored.low == pytest.approx(1 - estimate.high)
    assert mirrored.high == pytest.approx(1 - estimate.low)
