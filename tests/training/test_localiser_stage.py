"""Random windows of the coarse images."""

import numpy as np

from reactkd_auto.training.localiser_stage import cut, localiser_schedule, place
from reactkd_auto.training.schedule import Schedule


def test_windows_lie_inside_larger_images_and_round_smaller_ones():
    generator = np.random.default_rng(0)
    begins = set()
    for _ in range(400):
        (z, y, x) = place((10, 4, 8), (6, 8, 8), generator)
        assert 0 <= z[0] <= 4
        assert -4 <= y[0] <= 0
        assert x == (0, 8)
        begins.add((z[0], y[0]))
    assert len(begins) == 25


def test_a_cut_keeps_the_image_and_replicates_its_edges():
    array = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(cut(array, ((1, 3), (2, 5))), array[1:3, 2:5])
    padded = cut(array, ((-1, 5), (0, 6)))
    np.testing.assert_array_equal(padded[1:5], array)
    np.testing.assert_array_equal(padded[0], array[0])
    np.testing.assert_array_equal(padded[-1], array[-1])


def test_the_localiser_stops_at_600_iterations_however_long_the_teachers_train():
    long = localiser_schedule(Schedule(300, 250, 1e-3, 0.0, 0.99))
    assert long.total == 600
    assert localiser_schedule(Schedule(2, 3, 1e-3, 0.0, 0.99)).total == 18
