import numpy as np
import pytest
from scipy import ndimage

from reactkd_auto.regions.lesions import lesion_components
from reactkd_auto.regions.rings import ring_map
from tests.regions.samples import DATASET, SPACING, anatomy


@pytest.mark.parametrize("width", [2.5, 5.0, 10.0])
def test_a_ring_is_all_tissue_within_its_width_nearest_to_its_lesion(width: float) -> None:
    labels = anatomy()
    components, _ = lesion_components(labels, DATASET)
    inside = labels > 0
    rings = ring_map(components, inside=inside, width_mm=width, spacing=SPACING)
    distance = np.stack([ndimage.distance_transform_edt(components != i, sampling=SPACING) for i in (1, 2, 3)])
    expected = (distance.min(axis=0) <= width) & (components == 0) & inside
    assert np.array_equal(rings > 0, expected)
    own = np.take_along_axis(distance, np.maximum(rings - 1, 0)[None], axis=0)[0]
    assert np.allclose(own[expected], distance.min(axis=0)[expected])


def test_without_bounds_a_ring_lies_all_round() -> None:
    components = np.zeros((9, 9, 9), np.int32)
    components[4, 4, 4] = 1
    rings = ring_map(components, inside=None, width_mm=1.0, spacing=(1.0, 1.0, 1.0))
    assert rings.sum() == 6


def test_no_lesion_no_ring() -> None:
    assert not ring_map(np.zeros((4, 4, 4), np.int32), inside=None, width_mm=5.0, spacing=SPACING).any()
