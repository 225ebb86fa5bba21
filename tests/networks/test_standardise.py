import torch

from reactkd_auto.networks.standardise import RunningStandardisation


def test_valid_rows_get_mean_zero_and_unit_deviation_from_the_first_batch_on():
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.01, 1.0, 50.0]) + 7
    mask = torch.rand(4, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    x[~mask] = 1e6
    statistics = RunningStandardisation(3, decay=0.9)
    statistics.observe(x, mask)
    seen = statistics(x)[mask]
    torch.testing.assert_close(seen.mean(0), torch.zeros(3), atol=2e-3, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(3), atol=2e-2, rtol=0)


def test_statistics_are_the_bias_corrected_exponential_average_of_batches():
    batches = [torch.full((2, 1), value) for value in (1.0, 2.0, 6.0)]
    statistics = RunningStandardisation(1, decay=0.5)
    for batch in batches:
        statistics.observe(batch, torch.ones(2, dtype=torch.bool))
    weights = [0.25, 0.5, 1.0]
    expected = sum(w * v for w, v in zip(weights, (1.0, 2.0, 6.0), strict=True)) / sum(weights)
    mean, _ = statistics.moments()
    torch.testing.assert_close(mean, torch.tensor([expected]))


def test_a_batch_without_valid_rows_changes_nothing_and_an_unseen_cohort_is_left_as_it_is():
    x = torch.randn(3, 2)
    statistics = RunningStandardisation(2, decay=0.9)
    statistics.observe(x, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(statistics(x), x, rtol=0, atol=0)


def test_a_feature_that_never_varies_stays_finite():
    statistics = RunningStandardisation(1, decay=0.9)
    statistics.observe(torch.full((4, 1), 3.0), torch.ones(4, dtype=torch.bool))
    assert statistics(torch.full((4, 1), 3.0)).abs().max() < 1e-2
