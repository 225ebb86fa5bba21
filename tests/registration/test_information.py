import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import mutual_info_score

from reactkd_auto.registration.information import codes, mutual_information

BINS = 8
PAIRS = hnp.arrays(np.uint8, st.tuples(st.just(2), st.integers(1, 200)), elements=st.integers(0, BINS - 1))


@settings(max_examples=30)
@given(PAIRS)
def test_it_equals_that_of_scikit_learn_and_is_symmetric(pair):
    found = mutual_information(pair[0], pair[1], BINS)
    assert found == pytest.approx(mutual_info_score(pair[0], pair[1]), abs=1e-9)
    assert found == pytest.approx(mutual_information(pair[1], pair[0], BINS), abs=1e-12)


@settings(max_examples=30)
@given(PAIRS, st.permutations(range(BINS)))
def test_other_names_of_the_bins_change_nothing(pair, names):
    renamed = np.array(names, np.uint8)[pair[1]]
    assert mutual_information(pair[0], renamed, BINS) == pytest.approx(mutual_information(*pair, BINS), abs=1e-9)


def test_nothing_compared_informs_of_nothing():
    assert mutual_information(np.zeros(0, np.uint8), np.zeros(0, np.uint8), BINS) == 0


def test_values_beyond_the_range_fall_into_the_end_bins():
    assert codes(np.array([-5.0, 0.0, 4.9, 5.0, 10.0, 99.0]), 0.0, 10.0, 2).tolist() == [0, 0, 0, 1, 1, 1]
    assert codes(np.array([3.0, 3.0]), 3.0, 3.0, 4).tolist() == [0, 0]
