"""Which cases an epoch shows."""

from collections import Counter

import numpy as np
import pytest

from reactkd_auto.training.sampling import class_weights, draw_epoch


@pytest.fixture
def cases(make_properties):
    """12 cases of class 0, 4 of class 1, 4 ungraded."""
    labels = [0] * 12 + [1] * 4 + [None] * 4
    return [make_properties(f"case_{i:02d}", label) for i, label in enumerate(labels)]


def names(drawn):
    return [c.case for c in drawn]


def test_unbalanced_epochs_are_permutations_of_all_cases(cases):
    first, second = (draw_epoch(cases, 20, balanced=False, generator=np.random.default_rng(s)) for s in (0, 1))
    assert sorted(names(first)) == sorted(names(second)) == names(cases)
    assert names(first) != names(second)


def test_balanced_epochs_show_classes_equally_often_and_ungraded_cases_by_their_share(cases):
    drawn = draw_epoch(cases, 40, balanced=True, generator=np.random.default_rng(0))
    assert Counter(c.label for c in drawn) == {0: 16, 1: 16, None: 8}
    shown = Counter(names(drawn))
    assert all(shown[c.case] == 4 for c in cases if c.label == 1)
    assert all(shown[c.case] in (1, 2) for c in cases if c.label == 0)


@pytest.mark.parametrize("balanced", [False, True])
def test_many_ungraded_cases_fill_half_of_an_epoch_at_most(cases, make_properties, balanced):
    more = [*cases, *(make_properties(f"more_{i:02d}", None) for i in range(40))]
    counts = Counter(c.label for c in draw_epoch(more, 64, balanced=balanced, generator=np.random.default_rng(0)))
    assert counts == ({0: 16, 1: 16, None: 32} if balanced else {0: 24, 1: 8, None: 32})
    only = [c for c in more if c.label is None]
    assert len(draw_epoch(only, 10, balanced=balanced, generator=np.random.default_rng(0))) == 10


def test_odd_quotas_are_right_in_the_mean(cases):
    counts = Counter(
        c.label for s in range(300) for c in draw_epoch(cases, 3, balanced=True, generator=np.random.default_rng(s))
    )
    assert counts.total() == 900
    assert counts[0] / 900 == pytest.approx(0.4, abs=0.05)
    assert counts[None] / 900 == pytest.approx(0.2, abs=0.05)


def test_class_weights_are_inverse_frequencies_with_mean_one(cases):
    assert class_weights(cases, 2) == pytest.approx([16 / 24, 16 / 8])


def test_classes_are_spread_evenly_over_the_epoch(cases):
    """Every batch of five has nearly the epoch's proportions (2 : 2 : 1)."""
    for seed in range(20):
        drawn = [c.label for c in draw_epoch(cases, 40, balanced=True, generator=np.random.default_rng(seed))]
        for begin in range(0, 40, 5):
            counts = Counter(drawn[begin : begin + 5])
            assert 1 <= counts[0] <= 3
            assert 1 <= counts[1] <= 3
            assert counts[None] <= 2
