import numpy as np
import pytest
from scipy import ndimage

from reactkd_auto.regions.lesions import kept_count, lesion_components, whole_organ
from tests.regions.samples import DATASET, METASTASIS, ORGAN, PRIMARY


def test_components_agree_with_scipy_on_random_maps() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, 1, 2, 3], np.uint8), (12, 14, 16), p=[0.8, 0.1, 0.05, 0.05])
    components, voxels = lesion_components(labels, DATASET)
    expected, count = ndimage.label(labels >= METASTASIS, np.ones((3, 3, 3)))
    assert count == len(voxels)
    assert len(np.unique(np.stack([components, expected]).reshape(2, -1), axis=1).T) == count + 1
    assert np.array_equal(np.bincount(components.ravel())[1:], voxels)
    assert (np.diff(voxels) <= 0).all()


def test_voxels_that_share_only_a_corner_are_one_lesion_of_any_label() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1], labels[2, 2, 2] = METASTASIS, PRIMARY
    assert lesion_components(labels, DATASET)[1].tolist() == [2]


def test_small_lesions_go_but_never_the_largest() -> None:
    voxels = np.array([20, 10, 9, 1])
    assert kept_count(voxels, voxel_mm3=5.0, smallest_mm3=50.0) == 2
    assert kept_count(voxels, voxel_mm3=5.0, smallest_mm3=1e4) == 1
    assert kept_count(voxels[:0], voxel_mm3=5.0, smallest_mm3=1.0) == 0


def test_the_whole_organ_includes_its_lesions_and_no_others() -> None:
    labels = np.zeros((8, 8, 20), np.uint8)
    labels[2:6, 2:6, 2:8] = ORGAN
    labels[3:5, 3:5, 4:6] = METASTASIS  # inside
    labels[3:5, 3:5, 8:10] = PRIMARY  # touches
    labels[3:5, 3:5, 15:17] = METASTASIS  # far away
    whole = whole_organ(labels, lesion_components(labels, DATASET)[0], DATASET)
    expected = (labels > 0) & (np.arange(20) < 12)
    assert np.array_equal(whole, expected)


@pytest.mark.parametrize("labels", [np.zeros((3, 3, 3), np.uint8), np.full((3, 3, 3), METASTASIS, np.uint8)])
def test_without_an_organ_there_is_no_whole(labels: np.ndarray) -> None:
    assert not whole_organ(labels, lesion_components(labels, DATASET)[0], DATASET).any()
