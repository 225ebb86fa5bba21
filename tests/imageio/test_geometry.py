"""Orientation and position: whatever the order and direction of the stored axes, the same body comes out."""

import itertools
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from reactkd_auto.imageio import (
    array_spacing,
    overlap_fraction,
    read_image,
    same_grid,
    to_canonical,
    write_image,
)

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))
ANGLES_DEGREES = st.integers(-20_000_000, 20_000_000).map(lambda n: n * 1e-6)
"""No float at all: products of the tiniest are subnormal, and ITK's inversion of a matrix fails on those."""


def make(size: tuple[int, int, int] = (5, 6, 7), *, spacing=(1.0, 2.0, 3.0), origin=(-3.0, 4.0, 10.0)) -> sitk.Image:
    values = np.random.default_rng(1).normal(size=size[::-1]).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def stored_otherwise(image: sitk.Image, order: tuple[int, ...], flips: tuple[bool, ...]) -> sitk.Image:
    """The same body with its axes stored in another order and direction; right- or left-handed."""
    return sitk.Flip(sitk.PermuteAxes(image, order), flips, flipAboutOrigin=False)


@settings(max_examples=48, deadline=None)
@given(st.sampled_from(ORDERS), st.sampled_from(FLIPS), st.tuples(*[st.integers(2, 6)] * 3))
def test_any_order_and_direction_of_axes_becomes_the_same_canonical_image(order, flips, size) -> None:
    original = make(size)
    canonical = to_canonical(stored_otherwise(original, order, flips))
    assert same_grid(canonical, original, tolerance=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(canonical), sitk.GetArrayFromImage(original))
    assert np.linalg.det(np.reshape(canonical.GetDirection(), (3, 3))) > 0


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(ORDERS), st.sampled_from(FLIPS), st.sampled_from([".nii.gz", ".nrrd", ".mha"]))
def test_files_of_any_orientation_read_as_the_same_canonical_image(tmp_path_factory, order, flips, ending) -> None:
    original = make()
    path: Path = tmp_path_factory.mktemp("images") / f"a{ending}"
    write_image(path, stored_otherwise(original, order, flips))
    canonical = to_canonical(read_image(path))
    assert same_grid(canonical, original, tolerance=1e-4)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(canonical), sitk.GetArrayFromImage(original))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(FLIPS), *[ANGLES_DEGREES] * 3)
def test_every_voxel_of_an_oblique_image_keeps_its_position(flips, a, b, c) -> None:
    image = make()
    rotation = sitk.Euler3DTransform()
    rotation.SetRotation(*np.deg2rad([a, b, c]))
    image.SetDirection(rotation.GetMatrix())
    canonical = to_canonical(stored_otherwise(image, (0, 1, 2), flips))
    for index in ((0, 0, 0), (4, 5, 6), (1, 3, 2)):
        point = canonical.TransformIndexToPhysicalPoint(index)
        assert canonical[index] == image[image.TransformPhysicalPointToIndex(point)]


def test_array_spacing_is_in_the_order_of_array_axes() -> None:
    image = make((5, 6, 7))
    assert array_spacing(image) == (3.0, 2.0, 1.0)
    assert sitk.GetArrayFromImage(image).shape == (7, 6, 5)


def test_canonical_arrays_run_towards_superior_posterior_left() -> None:
    image = to_canonical(sitk.Flip(make(), (True, True, True)))
    start = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0)))
    end = np.array(image.TransformIndexToPhysicalPoint((4, 5, 6)))
    assert (end > start).all()  # LPS: x to the left, y to posterior, z to superior


def test_same_grid_tells_size_shift_spacing_and_direction_apart() -> None:
    image = make()
    assert same_grid(image, sitk.Image(image))
    assert not same_grid(image, make((5, 6, 8)))
    assert not same_grid(image, make(origin=(-3.0, 4.0, 10.2)))
    assert same_grid(image, make(origin=(-3.0, 4.0, 10.05)))
    assert not same_grid(image, make(spacing=(1.0, 2.0, 3.1)))
    turned = sitk.Image(image)
    turned.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    assert not same_grid(image, turned)


def test_overlap_is_the_share_of_the_base_volume() -> None:
    base = make((10, 10, 10), spacing=(1, 1, 1), origin=(0, 0, 0))
    assert overlap_fraction(base, base) == 1.0
    half = make((10, 10, 10), spacing=(1, 1, 1), origin=(5, 0, 0))
    np.testing.assert_allclose(overlap_fraction(base, half), 0.5)
    coarse = make((5, 5, 5), spacing=(4, 4, 4), origin=(-5, -5, -5))
    assert overlap_fraction(base, coarse) == 1.0
    assert overlap_fraction(base, make((10, 10, 10), spacing=(1, 1, 1), origin=(500, 0, 0))) == 0.0
