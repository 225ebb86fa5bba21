import math

import numpy as np
import pytest
import torch

from reactkd_auto.dose.counts import count_table, linear_added_variance, linear_variance


def _at(*counts: float) -> torch.Tensor:
    return torch.tensor(counts, dtype=torch.float64)


@pytest.mark.parametrize("counts", [1.0, 4.0, 20.0, 150.0, 10_000.0])
def test_table_matches_a_million_simulated_readings_within_three_standard_errors(counts):
    n = 1_000_000
    rng = np.random.default_rng(int(counts))
    signal = np.maximum(rng.poisson(counts, n) + 5.0 * rng.standard_normal(n), 1.0)
    y = -np.log(signal / counts)
    centred = y - y.mean()
    error = math.sqrt((np.mean(centred**4) - np.mean(centred**2) ** 2) / n)
    table = count_table(5.0, 1.0)
    assert abs(table.variance(_at(counts)).item() - y.var()) < 3 * error
    assert abs(table.log_bias(_at(counts)).item() - y.mean()) < 3 * y.std() / math.sqrt(n)


def test_quantum_limit_obeys_the_dose_law_within_one_percent():
    table = count_table(0.0, 1.0)
    counts = _at(1e4, 1e5, 1e6, 1e7)
    for a in (0.9, 0.5, 0.1, 0.02):
        ratio = (table.added_variance(counts, a) / table.variance(counts)).sqrt()
        assert torch.allclose(ratio, torch.full_like(ratio, math.sqrt(1 / a - 1)), rtol=0.01)


@pytest.mark.parametrize(("counts", "ratio"), [(3000.0, 3.10), (1000.0, 3.29), (300.0, 4.02)])
def test_electronic_noise_bends_the_dose_law(counts, ratio):
    table = count_table(5.0, 1.0)
    added = [table.added_variance(_at(counts), a).sqrt().item() for a in (0.1, 0.5)]
    assert added[0] / added[1] == pytest.approx(ratio, abs=0.02)


def test_linear_formula_agrees_at_high_counts_and_fails_near_starvation():
    table = count_table(5.0, 1.0)
    exact = table.variance(_at(2000.0, 10.0))
    linear = linear_variance(_at(2000.0, 10.0), 5.0)
    assert exact[0] / linear[0] == pytest.approx(1, abs=0.01)
    assert math.sqrt(exact[1] / linear[1]) == pytest.approx(1.34, abs=0.02)


def test_linear_added_variance_is_the_difference_of_linear_variances():
    counts = _at(50.0, 5000.0)
    expected = linear_variance(counts * 0.2, 5.0) - linear_variance(counts, 5.0)
    assert torch.allclose(linear_added_variance(counts, 0.2, 5.0), expected, rtol=1e-9)


def test_nothing_is_added_at_full_dose_and_nested_steps_add_up():
    table, counts = count_table(5.0, 1.0), _at(30.0, 400.0, 1e5)
    assert torch.equal(table.added_variance(counts, 1.0), torch.zeros(3, dtype=torch.float64))
    steps = table.added_variance(counts, 0.5) + table.added_variance(counts, 0.1, 0.5)
    assert torch.allclose(steps, table.added_variance(counts, 0.1), rtol=1e-9)
