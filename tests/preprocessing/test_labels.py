import cc3d
import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.preprocessing.grid import Grid
from reactkd_auto.preprocessing.labels import resample_labels
from tests.preprocessing.samples import IDENTITY, LESION, ORGAN, dataset, image_of, raw_case

WHOLE = {"origin_mm": (0.0, 0.0, 0.0), "direction": IDENTITY}


def test_a_map_on_its_own_grid_is_unchanged() -> None:
    regions = raw_case().regions
    grid = Grid((24, 30, 28), (3.0, 2.0, 2.0), regions.GetOrigin(), IDENTITY)
    assert np.array_equal(resample_labels(regions, grid, dataset()), sitk.GetArrayFromImage(regions))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.5, 1.5), (3.0, 3.0, 3.0)])
def test_volumes_are_kept(spacing: tuple) -> None:
    distance = np.linalg.norm(np.stack(np.mgrid[:48, :48, :48]) - 23.5, axis=0)
    labels = np.where(distance < 11, LESION, np.where(distance < 20, ORGAN, 0)).astype(np.uint8)
    grid = Grid(tuple(int(48 / s) for s in spacing), spacing, **WHOLE)
    found = resample_labels(image_of(labels, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), grid, dataset())
    for value in (ORGAN, LESION):
        assert (found == value).sum() * np.prod(spacing) == pytest.approx((labels == value).sum(), rel=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_no_lesion_is_lost_however_coarse_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((40, 40, 40), np.uint8)
    for centre in rng.integers(2, 38, (6, 3)):
        labels[tuple(slice(c, c + n) for c, n in zip(centre, rng.integers(1, 3, 3), strict=True))] = LESION
    grid = Grid((8, 8, 8), (5.0, 5.0, 5.0), (2.0, 2.0, 2.0), IDENTITY)
    found = resample_labels(image_of(labels, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), grid, dataset())
    components = cc3d.connected_components(labels, connectivity=26)
    for number in range(1, components.max() + 1):
        voxels = np.rint((np.argwhere(components == number) - 2) / 5).astype(int).clip(0, 7)
        assert (found[tuple(voxels.T)] == LESION).any()


def test_a_thin_sheet_survives_as_a_voxel_of_its_own() -> None:
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[20, 5:35, 5:35] = LESION
    grid = Grid((5, 5, 5), (8.0, 8.0, 8.0), (3.0, 3.0, 3.0), IDENTITY)
    found = resample_labels(image_of(labels, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), grid, dataset())
    assert np.argwhere(found == LESION).tolist() == [[2, 2, 2]]


def test_beyond_the_maps_end_there_is_no_region() -> None:
    regions = image_of(np.full((4, 4, 4), ORGAN, np.uint8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    found = resample_labels(regions, Grid((8, 8, 8), (1.0, 1.0, 1.0), (-2.0, -2.0, -2.0), IDENTITY), dataset())
    assert np.array_equal(np.argwhere(found).min(axis=0), [2, 2, 2])
    assert found.sum() == 64
