import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactkd_auto.regions.parcels import parcel_map
from tests.regions.samples import anatomy


@pytest.mark.parametrize("splits", [(1, 1, 2), (2, 1, 2), (2, 2, 2), (3, 2, 2)])
def test_parcels_have_equal_volumes_and_cover_the_organ(splits: tuple[int, int, int]) -> None:
    organ = anatomy() > 0
    parcels = parcel_map(organ, splits)
    volumes = np.bincount(parcels.ravel())[1:]
    assert len(volumes) == np.prod(splits)
    assert np.array_equal(parcels > 0, organ)
    assert np.ptp(volumes) <= 3
    assert np.ptp(volumes) / volumes.mean() < 0.05


@settings(max_examples=15, deadline=None)
@given(st.tuples(st.integers(-3, 8), st.integers(-4, 6), st.integers(-4, 3)))
def test_parcels_keep_their_identity_wherever_the_organ_lies(shift: tuple[int, int, int]) -> None:
    here, there = anatomy() > 0, anatomy(shift) > 0
    assert here.sum() == there.sum()  # the shift leaves all of it inside
    moved = np.roll(parcel_map(here, (3, 2, 2)), shift, axis=(0, 1, 2))
    assert np.array_equal(moved, parcel_map(there, (3, 2, 2)))


def test_parcels_are_counted_from_inferior_anterior_right() -> None:
    parcels = parcel_map(np.ones((6, 6, 6), bool), (3, 2, 2))
    assert np.array_equal(parcels[1:6:2, 1::3, 1::3].ravel(), np.arange(1, 13))


def test_the_cut_along_right_left_comes_first() -> None:
    organ = np.zeros((8, 4, 8), bool)
    organ[:, :, :4] = True  # right half: all of z
    organ[:4, :, 4:] = True  # left half: low z only
    parcels = parcel_map(organ, (2, 1, 2))
    cut_z = {p: np.nonzero(parcels == p)[0].max() for p in (1, 2)}
    assert cut_z[1] > cut_z[2]  # each side has its own cut along z


def test_more_parts_than_voxels_leaves_parts_empty() -> None:
    organ = np.zeros((3, 3, 3), bool)
    organ[1, 1, 1] = True
    assert (parcel_map(organ, (2, 2, 2)) > 0).sum() == 1
    assert not parcel_map(np.zeros((3, 3, 3), bool), (2, 2, 2)).any()
