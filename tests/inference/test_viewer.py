"""The viewer's small volumes show what the full images hold, where they hold it."""

import dataclasses
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.drawing.windows import LUNG
from reactkd_auto.inference.viewer import HU_STEP, VIEWER_SIDE, layer_path, read_viewer, write_viewer
from tests.builders import random_case, small_dataset, small_plan

SPACING = (2.0, 1.5, 1.5)
"""(z, y, x) mm."""


def write_small_viewer(
    output: Path, case: str, *, size: tuple[int, int, int] = (12, 20, 16), is_ct: bool = True
) -> None:
    """A CT with one bright voxel at z 7, y 5, x 3, a region there, and an explanation that is 0."""
    image = np.full(size, 30.0, np.float32)
    image[7, 5, 3] = 701.0
    layers = {
        "image": image,
        "regions": 2 * (image > 100).astype(np.uint8),
        "explanation": np.zeros(size, np.float32),
        "attention": np.linspace(0, 0.5, image.size, dtype=np.float32).reshape(size),
    }
    properties = random_case(case, plan=small_plan(), dataset=small_dataset()).properties
    write_viewer(
        output,
        {name: _image(array) for name, array in layers.items()},
        properties=dataclasses.replace(properties, spacing_mm=SPACING, origin_mm=(-20.0, 11.0, 300.0)),
        grid_size=size,
        centre_voxel=(7, 5, 3),
        window=LUNG,
        is_ct=is_ct,
    )


def _image(array: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((-20.0, 11.0, 300.0))
    return sitk.DICOMOrient(image, "RAI")


def _read(output: Path, layer: str) -> tuple[np.ndarray, np.ndarray]:
    image = nib.load(layer_path(output, "a", layer))
    return image.get_fdata(), image.affine


def test_the_cross_begins_on_the_brightest_voxel(tmp_path):
    write_small_viewer(tmp_path, "a")
    values, affine = _read(tmp_path, "image")
    brightest = np.array(np.unravel_index(values.argmax(), values.shape))
    centre = np.array(read_viewer(tmp_path, "a").centre_mm)
    assert np.abs(affine @ [*brightest, 1] - [*centre, 1]).max() <= 1.0
    assert centre == pytest.approx((20 - 3 * 1.5, -(11 + 5 * 1.5), 300 + 7 * 2.0))


def test_hu_are_kept_to_the_step_and_overlays_lie_on_the_same_grid(tmp_path):
    write_small_viewer(tmp_path, "a")
    image, affine = _read(tmp_path, "image")
    assert np.median(image) == pytest.approx(30, abs=HU_STEP / 2)
    regions, other = _read(tmp_path, "regions")
    np.testing.assert_array_equal(affine, other)
    assert set(np.unique(regions)) == {0, 2}
    assert image[regions == 2].min() > 100
    assert _read(tmp_path, "attention")[0].max() == pytest.approx(0.5, abs=0.01)


def test_an_overlay_of_nothing_is_left_out(tmp_path):
    write_small_viewer(tmp_path, "a")
    assert read_viewer(tmp_path, "a").layers == ("image", "regions", "attention")
    assert read_viewer(tmp_path, "a").window == "lung"
    assert not layer_path(tmp_path, "a", "explanation").exists()


def test_large_cts_are_shown_coarser(tmp_path):
    write_small_viewer(tmp_path, "a", size=(12, 300, 16))
    values, affine = _read(tmp_path, "image")
    assert max(values.shape) == VIEWER_SIDE
    assert abs(affine[1, 1]) == pytest.approx(300 * 1.5 / VIEWER_SIDE)


def test_a_shape_mask_keeps_its_values(tmp_path):
    write_small_viewer(tmp_path, "a", is_ct=False)
    assert _read(tmp_path, "image")[0].max() == pytest.approx(701, rel=0.4)  # one voxel, interpolated


def test_the_same_case_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_small_viewer(tmp_path / name, "a")
    one, two = (layer_path(tmp_path / n, "a", "image").read_bytes() for n in ("one", "two"))
    assert one == two
