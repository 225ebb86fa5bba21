import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from reactkd_auto.preprocessing.grid import Grid
from reactkd_auto.preprocessing.resample import TRUNCATE, antialiasing_sigmas, covered, resample
from tests.preprocessing.samples import IDENTITY, image_of, positions, ramp

spacings = st.tuples(*[st.floats(0.5, 4.0)] * 3)
shifts = st.tuples(*[st.floats(-6.0, 6.0)] * 3)


def turned(degrees: float) -> tuple[float, ...]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(source=spacings, target=spacings, shift=shifts, degrees=st.floats(-20, 20))
def test_a_linear_image_keeps_its_values_at_every_position(
    source: tuple, target: tuple, shift: tuple, degrees: float
) -> None:
    size = [int(np.ceil(60 / s)) for s in source]
    centre = [-(n - 1) * s / 2 for n, s in zip(size, source, strict=True)][::-1]
    image = ramp(image_of(np.zeros(size, np.float32), source, tuple(centre)), (2.0, -3.0, 1.5), 40.0)
    grid = Grid((4, 5, 6), target, shift, turned(degrees))
    expected = positions(grid.image(np.zeros(grid.size))) @ (2.0, -3.0, 1.5) + 40.0
    inside = (np.abs(positions(grid.image(np.zeros(grid.size)))) < 30 - 4 * max(target)).all(axis=-1)
    assert resample(image, grid)[inside] == pytest.approx(expected[inside], abs=1e-2)


@settings(max_examples=40, deadline=None)
@given(source=spacings, target=spacings, shift=shifts, degrees=st.floats(-20, 20))
def test_covered_is_where_a_voxel_centre_lies_in_a_voxel_of_the_image(
    source: tuple, target: tuple, shift: tuple, degrees: float
) -> None:
    image = image_of(np.zeros((5, 6, 7), np.float32), source, (1.0, -2.0, 3.0))
    grid = Grid((6, 5, 4), target, shift, turned(degrees))
    where = positions(grid.image(np.zeros(grid.size)))
    index = (where - np.array(image.GetOrigin())) / np.array(image.GetSpacing())
    slack = np.minimum(index + 0.5, np.array(image.GetSize()) - 0.5 - index).min(axis=-1)
    clear = np.abs(slack) > 1e-4
    assert np.array_equal(covered(image, grid)[clear], (slack > 0)[clear])


@pytest.mark.parametrize("target", [(1.5, 1.5, 1.5), (3.0, 2.0, 2.0), (8.0, 5.0, 7.0)])
def test_image_and_noise_go_through_the_same_operator(target: tuple) -> None:
    rng = np.random.default_rng(0)
    ct, noise = (rng.normal(0, 100, (20, 22, 24)).astype(np.float32) for _ in range(2))
    grid = Grid((8, 9, 10), target, (-18.0, 31.0, 99.0), turned(7.0))
    apart = resample(image_of(ct), grid) + 0.5 * resample(image_of(noise), grid)
    assert resample(image_of(ct + 0.5 * noise), grid) == pytest.approx(apart, abs=1e-2)


def test_edges_are_replicated() -> None:
    image = image_of(np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 3, 3), np.float32), (1.0, 1.0, 1.0))
    x, y, z = image.GetOrigin()
    found = resample(image, Grid((8, 1, 1), (1.0, 1.0, 1.0), (x - 5, y + 1, z - 2), IDENTITY))
    assert found.ravel().tolist() == [0, 0, 0, 1, 2, 3, 3, 3]


def test_a_grid_wholly_outside_gets_the_nearest_values() -> None:
    image = image_of(np.full((3, 3, 3), 7.0, np.float32))
    grid = Grid((2, 2, 2), (1.0, 1.0, 1.0), (500.0, 500.0, 500.0), IDENTITY)
    assert (resample(image, grid) == 7).all()
    assert not covered(image, grid).any()


def test_the_image_itself_comes_back_on_its_own_grid() -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    image = image_of(array)
    grid = Grid((5, 6, 7), (3.0, 2.0, 2.0), image.GetOrigin(), IDENTITY)
    assert resample(image, grid) == pytest.approx(array, abs=1e-5)


def test_coarsening_averages_what_the_coarse_grid_cannot_show() -> None:
    stripes = np.where(np.arange(64) % 2, 100.0, -100.0)[None, None] * np.ones((8, 8, 1))
    image = image_of(stripes.astype(np.float32), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    grid = Grid((4, 4, 12), (1.0, 1.0, 4.0), (8.0, 2.0, 2.0), IDENTITY)
    assert np.abs(resample(image, grid)).max() < 5
    assert np.abs(resample(image, grid, smooth=False)).max() == pytest.approx(100)


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0])
def test_the_gaussian_makes_the_coarse_point_spread_of_the_fine_one(ratio: float) -> None:
    image = image_of(np.zeros((9, 9, 9), np.float32), (1.0, 2.0, 2.0))
    z, y, x = antialiasing_sigmas(image, Grid((3, 3, 3), (1.0, 2.0, 2.0 * ratio), (0, 0, 0), IDENTITY))
    assert (z, y) == (0.0, 0.0)
    fwhm = np.sqrt(8 * np.log(2))
    assert np.hypot(2.0 / fwhm, x) * fwhm == pytest.approx(2.0 * ratio)


def test_a_slight_coarsening_is_not_smoothed() -> None:
    image = image_of(np.zeros((9, 9, 9), np.float32), (1.0, 1.0, 1.0))
    assert antialiasing_sigmas(image, Grid((3, 3, 3), (1.1, 0.5, 1.2), (0, 0, 0), IDENTITY)) == (0.0, 0.0, 0.0)


def test_the_smoothing_is_a_gaussian_of_that_width() -> None:
    point = np.zeros((5, 5, 81), np.float32)
    point[2, 2, 40] = 1000
    image = image_of(point, (1.0, 1.0, 1.0), (-40.0, -2.0, -2.0))
    grid = Grid((1, 1, 19), (1.0, 1.0, 4.0), (-36.0, 0.0, 0.0), IDENTITY)
    sigma = antialiasing_sigmas(image, grid)[2]
    found = resample(image, grid).ravel()
    x = np.arange(-36, 37, 4.0)
    gaussian = 1000 * np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    assert found == pytest.approx(gaussian, abs=0.01 * gaussian.max())


def test_reading_only_the_needed_part_changes_nothing() -> None:
    array = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    image = image_of(array, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    small = Grid((3, 3, 3), (2.5, 2.5, 2.5), (17.0, 15.0, 16.0), IDENTITY)
    large = Grid((15, 15, 15), (2.5, 2.5, 2.5), (2.0, 0.0, 1.0), IDENTITY)
    assert resample(image, small) == pytest.approx(resample(image, large)[6:9, 6:9, 6:9], abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(source=spacings, target=spacings, shift=shifts)
def test_along_the_axes_it_is_scipys_gaussian_and_linear_interpolation(
    source: tuple, target: tuple, shift: tuple
) -> None:
    array = np.random.default_rng(0).normal(0, 100, (13, 12, 11)).astype(np.float32)
    image = image_of(array, source)
    grid = Grid((6, 7, 8), target, tuple(np.array(image.GetOrigin()) + shift), IDENTITY)
    sigmas = np.array(antialiasing_sigmas(image, grid)) / source
    smoothed = ndimage.gaussian_filter(np.maximum(array, -50).astype(float), sigmas, mode="nearest", truncate=TRUNCATE)
    where = [
        s / mm + np.arange(n) * to / mm for s, mm, n, to in zip(shift[::-1], source, grid.size, target, strict=True)
    ]
    expected = ndimage.map_coordinates(smoothed, np.meshgrid(*where, indexing="ij"), order=1, mode="nearest")
    assert resample(image, grid, lowest=-50.0) == pytest.approx(expected, abs=0.01)
