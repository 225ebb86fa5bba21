import numpy as np
import torch
from scipy import stats

from reactkd_auto.dose.random_numbers import philox, standard_normal, stream_key

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


def test_a_row_does_not_depend_on_the_rows_beside_it():
    key = stream_key(0, "x")
    assert torch.equal(standard_normal(key, range(0, 5), 100, CPU)[3], standard_normal(key, [3], 100, CPU)[0])


def test_keys_differ_by_seed_and_by_name():
    keys = {stream_key(s, n) for s in range(3) for n in ("", "a", "b", 0.5, 0.25)}
    assert len(keys) == 15
