import numpy as np
import pytest
import torch
from scipy import stats

from reactkd_auto.dose.random_numbers import complex_normal, philox, poisson_quantile, standard_normal, stream_key

CPU = torch.device("cpu")


def test_philox_gives_the_known_answers_of_random123():
    zero = torch.zeros(1, dtype=torch.int64)
    ones = zero + 0xFFFFFFFF
    first = [int(w) for w in philox((zero, zero, zero, zero), 0)]
    second = [int(w) for w in philox((ones, ones, ones, ones), 2**64 - 1)]
    assert first == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert second == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_numbers_are_standard_normal_and_rows_independent():
    values = standard_normal(stream_key(3, "case"), range(-2, 2), 50_001, CPU).double().numpy()
    assert values.shape == (4, 50_001)
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(values) - np.eye(4)).max() < 0.02


def test_complex_numbers_have_independent_standard_normal_parts():
    values = complex_normal(stream_key(3, "case"), range(-2, 2), 50_001, CPU)
    assert values.shape == (4, 50_001)
    parts = torch.view_as_real(values).double().flatten(0, 1).numpy()
    assert stats.kstest(parts.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(parts.T)[0, 1]) < 0.01
    assert stats.kstest(np.hypot(*parts.T) ** 2 / 2, "expon").pvalue > 1e-3


def test_a_row_does_not_depend_on_the_rows_beside_it():
    key = stream_key(0, "x")
    assert torch.equal(standard_normal(key, range(0, 5), 100, CPU)[3], standard_normal(key, range(3, 4), 100, CPU)[0])


def test_keys_differ_by_seed_and_by_name():
    keys = {stream_key(s, n) for s in range(3) for n in ("", "a", "b", 0.5, 0.25)}
    assert len(keys) == 15


def test_blocks_of_a_row_are_independent():
    key = stream_key(0, "x")
    blocks = torch.stack([standard_normal(key, range(3, 4), 20_001, CPU, block=b)[0] for b in range(3)])
    assert torch.equal(blocks[0], standard_normal(key, range(3, 4), 20_001, CPU)[0])
    assert np.abs(np.corrcoef(blocks.numpy()) - np.eye(3)).max() < 0.03


@pytest.mark.parametrize("mean", [0.01, 0.3, 1.0, 4.5, 9.99, 10.01, 25.0, 400.0, 1e5])
def test_poisson_quantiles_are_those_of_scipy(mean):
    normal = torch.linspace(-5, 5, 4001, dtype=torch.float64)
    counts = poisson_quantile(torch.full_like(normal, mean), normal).numpy()
    expected = stats.poisson.ppf(stats.norm.cdf(normal.numpy()), mean)
    assert np.abs(counts - expected).max() <= 1
    # Steps of the two may lie a hair apart: few draws meet one.
    assert np.average(counts != expected, weights=stats.norm.pdf(normal.numpy())) < 0.01


@pytest.mark.parametrize("mean", [0.05, 2.0, 9.0, 11.0, 60.0, 3000.0])
def test_poisson_numbers_have_their_mean_and_variance(mean):
    n = 400_000
    counts = poisson_quantile(
        torch.full((n,), mean), standard_normal(stream_key(1, mean), range(1), n, CPU)[0]
    ).double()
    assert counts.mean().item() == pytest.approx(mean, abs=4 * (mean / n) ** 0.5)
    # The variance of a Poisson sample's variance is (λ + 2 λ²) / n.
    assert counts.var().item() == pytest.approx(mean, abs=4 * ((mean + 2 * mean**2) / n) ** 0.5)


def test_poisson_counts_rise_with_the_mean_at_the_same_normal_number():
    normal = standard_normal(stream_key(2), range(1), 5000, CPU)[0]
    counts = torch.stack([poisson_quantile(torch.full_like(normal, m), normal) for m in (1.0, 6.0, 9.9, 10.1, 80.0)])
    assert (counts.diff(dim=0) >= 0).all()
