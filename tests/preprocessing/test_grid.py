import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from reactkd_auto.preprocessing.grid import Grid, case_grid
from tests.preprocessing.samples import dataset, plan, positions, raw_case

OBLIQUE = tuple(np.array([[0.98, -0.199, 0], [0.199, 0.98, 0], [0, 0, 1]]).ravel().tolist())


@settings(max_examples=25, deadline=None)
@given(
    low=st.tuples(*[st.integers(0, 10)] * 3),
    size=st.tuples(*[st.integers(6, 13)] * 3),
    patch=st.tuples(*[st.sampled_from([8, 16])] * 3),
)
def test_the_patch_holds_all_regions_and_is_centred_on_them(low: tuple, size: tuple, patch: tuple) -> None:
    raw = raw_case(box=tuple((a, a + n) for a, n in zip(low, size, strict=True)), direction=OBLIQUE)
    placed = case_grid(raw, plan(patch_size=patch), dataset())
    assert placed.on_regions
    regions = sitk.GetArrayFromImage(raw.regions) > 0
    index = placed.grid.continuous_index(positions(raw.regions)[regions])
    centre = (np.array(placed.grid.size) - 1) / 2
    assert (index.min(axis=0) + index.max(axis=0)) / 2 == pytest.approx(centre, abs=1e-6)
    half_voxel = np.array([3.0, 2.0, 2.0]) / np.array(placed.grid.spacing_mm) / 2
    reach = index.max(axis=0) - centre + half_voxel
    assert (reach <= np.array(patch) / 2 + 1e-6).all()
    extent = np.array(size) / np.array(patch)
    assert placed.zoom == pytest.approx(max(1.0, extent.max()))
    if placed.zoom > 1:
        assert reach[extent.argmax()] == pytest.approx(patch[extent.argmax()] / 2)


def test_zoom_keeps_the_shape_of_the_voxels() -> None:
    placed = case_grid(raw_case(), plan(patch_size=(4, 16, 16)), dataset())
    assert placed.zoom == pytest.approx(2.0)
    assert placed.grid.spacing_mm == pytest.approx((6.0, 4.0, 4.0))
    assert placed.grid.size == (8, 20, 20)


def test_without_regions_the_whole_image_is_zoomed_to_fit() -> None:
    raw = raw_case(box=None)
    placed = case_grid(raw, plan(), dataset())
    assert not placed.on_regions
    assert placed.zoom == pytest.approx(30 / 16)
    middle = raw.images[0].TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in raw.images[0].GetSize()])
    index = placed.grid.continuous_index(np.array([middle]))
    assert index[0] == pytest.approx((np.array(placed.grid.size) - 1) / 2)


def test_an_empty_region_map_counts_as_none() -> None:
    raw = raw_case()
    raw = type(raw)(raw.case, raw.images, raw.regions * 0)
    assert not case_grid(raw, plan(), dataset()).on_regions


def test_indices_and_corners_agree_with_simpleitk() -> None:
    grid = case_grid(raw_case(direction=OBLIQUE), plan(), dataset()).grid
    image = grid.image(np.zeros(grid.size))
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(c) for c in [(1.5, 2.0, 0.25), (7, 3, 5)]])
    assert grid.continuous_index(points) == pytest.approx(np.array([(0.25, 2.0, 1.5), (5, 3, 7)]))
    last = [n - 1 for n in image.GetSize()]
    assert grid.corners()[[0, -1]] == pytest.approx(
        np.array([image.GetOrigin(), image.TransformIndexToPhysicalPoint(last)])
    )


def test_an_image_s_grid_has_its_voxels_where_the_image_has_them() -> None:
    image = raw_case(direction=OBLIQUE).images[0]
    grid, (z, y, x) = Grid.of(image), image.GetSize()[::-1]
    assert (grid.size, grid.voxel_mm3) == ((z, y, x), 12.0)
    voxels = np.array([[0, 0, 0], [3, 5, 7], [2.5, -1, 9.25]])
    expected = [image.TransformContinuousIndexToPhysicalPoint(v[::-1].tolist()) for v in voxels]
    assert grid.positions(voxels) == pytest.approx(np.array(expected), abs=1e-9)
    assert grid.continuous_index(grid.positions(voxels)) == pytest.approx(voxels, abs=1e-9)
