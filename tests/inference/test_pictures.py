"""Pictures show the patient the right way round, and painting puts values where the nodes are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from reactkd_auto.dataset import Channel, Dataset
from reactkd_auto.drawing.windows import LUNG, SHAPE, SOFT_TISSUE
from reactkd_auto.inference.display import display_case
from reactkd_auto.inference.painting import attention_map, into_case, mean_and_spread, paint_nodes
from reactkd_auto.inference.pictures import PLANES, choose_window, cut_plane, draw_case
from tests.builders import random_case, small_dataset, small_plan


def _image(array: np.ndarray, direction: str = "LPS") -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 2.0))
    return sitk.DICOMOrient(image, direction)


@pytest.fixture
def properties():
    case = random_case("a", plan=small_plan(), dataset=small_dataset())
    return dataclasses.replace(case.properties, spacing_mm=(2.0, 1.0, 1.0))


def _display(array, properties, *, direction="LPS", dataset: Dataset | None = None, centre=(5, 10, 10)):
    return display_case(
        _image(array.astype(np.float32), direction),
        None,
        None,
        dataset=dataset or small_dataset(),
        properties=properties,
        grid_size=array.shape,
        centre_voxel=centre,
    )


@pytest.mark.parametrize("direction", ["LPS", "RAI", "ASL"])
def test_left_and_back_and_head_lie_where_the_letters_say(properties, direction):
    """However the file is oriented, x grows to the patient's left, y to the back, z to the head."""
    array = np.full((10, 20, 20), -1000.0)
    array[5, 10, 18] = array[5, 18, 10] = array[9, 10, 10] = 1000.0
    case = _display(array, properties, direction=direction)
    axial, coronal, _ = (cut_plane(case.image, case, plane) for plane in PLANES)
    bright = {tuple(p) for p in np.argwhere(axial > 0)}
    assert (10, 18) in bright  # left of the patient: right in the picture
    assert (18, 10) in bright  # back: bottom
    rows = np.flatnonzero((coronal > 0).any(axis=1))
    assert rows.min() <= 2  # head: top


def test_the_lung_window_is_taken_in_lung_and_the_shape_window_for_masks(properties):
    inside = np.full((10, 20, 20), 30.0)
    assert choose_window(_display(inside, properties)) is SOFT_TISSUE
    assert choose_window(_display(inside * 0 - 850, properties)) is LUNG
    mask = small_dataset(channels=(Channel("shape", "binary_mask"),))
    assert choose_window(_display(inside * 0 + 1, properties, dataset=mask)) is SHAPE


def test_a_picture_is_written_even_without_regions_or_explanation(properties, tmp_path: Path):
    draw_case(tmp_path / "a.png", _display(np.zeros((10, 20, 20)), properties), title="a")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_voxels_of_several_nodes_get_the_sum_of_their_values():
    nodes = np.zeros((3, 1, 1, 3), np.uint8)
    nodes[0, 0, 0] = [1, 2, 0]
    nodes[1, 0, 0] = [3, 0, 0]
    np.testing.assert_allclose(paint_nodes(nodes, np.array([0.5, 0.2, 0.3]))[0, 0], [0.8, 0.2, 0.0], rtol=1e-6)


def test_mean_and_spread_equal_numpy_and_one_map_spreads_nothing():
    maps = list(np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32))
    mean, spread = mean_and_spread(maps)
    np.testing.assert_allclose(mean, np.mean(maps, axis=0), atol=1e-6)
    np.testing.assert_allclose(spread, np.std(maps, axis=0), atol=1e-6)
    assert not mean_and_spread(maps[:1])[1].any()


def test_attention_of_all_stages_is_averaged_on_the_patch_and_put_back():
    stages = (torch.full((1, 1, 4, 4, 4), 0.2), torch.full((1, 1, 2, 2, 2), 0.6))
    patch = attention_map(stages, (4, 4, 4))
    np.testing.assert_allclose(patch, 0.4, rtol=1e-6)
    whole = into_case(patch, (slice(1, 5),) * 3, (6, 6, 6))
    assert (whole > 0).sum() == 64
    assert whole[0].max() == 0.0
