import numpy as np
import pytest

from reactkd_auto.regions.edges import edge_weights
from tests.regions.samples import SPACING


def layers_with(*boxes: tuple[int, int, tuple[slice, slice, slice]]) -> np.ndarray:
    layers = np.zeros((3, 10, 10, 10), np.uint8)
    for layer, code, box in boxes:
        layers[layer][box] = code
    return layers


def test_touching_and_overlapping_regions_have_an_edge_that_fades_with_distance() -> None:
    rows = slice(2, 4)
    layers = layers_with(
        (0, 1, (rows, rows, slice(0, 3))),
        (0, 2, (rows, rows, slice(3, 5))),  # touches 1
        (0, 3, (rows, rows, slice(6, 8))),  # a gap to 2
        (1, 4, (rows, rows, slice(4, 9))),  # shares voxels with 2 and 3 on another layer
    )
    centroids = np.array([[2.5, 2.5, 1.0], [2.5, 2.5, 3.5], [2.5, 2.5, 6.5], [2.5, 2.5, 6.0], [np.nan] * 3])
    weights = edge_weights(layers, centroids, spacing=SPACING, sigma_mm=10.0)
    expected = np.zeros((5, 5))
    for i, j, voxels in ((0, 1, 2.5), (1, 3, 2.5), (2, 3, 0.5)):
        expected[i, j] = expected[j, i] = np.exp(-((voxels * SPACING[2]) ** 2) / 200)
    assert weights == pytest.approx(expected, abs=1e-6)


def test_a_common_edge_is_not_touching() -> None:
    layers = layers_with((0, 1, (slice(0, 2),) * 3), (0, 2, (slice(0, 2), slice(2, 4), slice(2, 4))))
    assert not edge_weights(layers, np.zeros((2, 3)), spacing=SPACING, sigma_mm=1.0).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_touching_is_seen_along_every_axis_between_layers(axis: int) -> None:
    box_1, box_2 = [slice(4, 6)] * 3, [slice(4, 6)] * 3
    box_2[axis] = slice(6, 7)
    layers = layers_with((2, 1, tuple(box_1)), (0, 2, tuple(box_2)))
    weights = edge_weights(layers, np.zeros((2, 3)), spacing=SPACING, sigma_mm=1.0)
    assert np.array_equal(weights, [[0, 1], [1, 0]])


def test_an_empty_map_has_no_edges() -> None:
    assert not edge_weights(layers_with(), np.full((2, 3), np.nan), spacing=SPACING, sigma_mm=1.0).any()
