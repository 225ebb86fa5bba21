import math

import numpy as np
import pytest

from reactkd_auto.regions.geometry import depth_map, frame, nearest_inside, node_geometry, sphericity
from tests.regions.samples import ellipsoid

ISOTROPIC = (1.0, 1.0, 1.0)


def test_a_ball_is_rounder_than_a_rod_whatever_the_spacing() -> None:
    ball = ellipsoid((31, 31, 31), (15, 15, 15), (12, 12, 12))
    flat_voxels = ellipsoid((31, 31, 31), (15, 15, 15), (6, 12, 12))
    rod = np.zeros((31, 31, 31), bool)
    rod[:, 14:17, 14:17] = True
    assert sphericity(ball, ISOTROPIC) == pytest.approx(0.93, abs=0.04)
    assert sphericity(flat_voxels, (2.0, 1.0, 1.0)) == pytest.approx(sphericity(ball, ISOTROPIC), abs=0.05)
    assert sphericity(rod, ISOTROPIC) < 0.7
    assert sphericity(np.ones((1, 1, 1), bool), ISOTROPIC) == 1.0


def test_volume_depth_and_place_of_a_block() -> None:
    organ = np.zeros((22, 22, 22), bool)
    organ[1:21, 1:21, 1:21] = True
    block = np.zeros_like(organ)
    block[1:3, 1:21, 16:21] = True
    spacing = (3.0, 2.0, 2.0)
    found = node_geometry(block, spacing=spacing, depth_mm=depth_map(organ, spacing), box=frame(organ))
    assert found[0] == pytest.approx(math.log(2 * 20 * 5 * 12))
    assert 2.0 <= found[1] <= 6.0  # at most two voxels below the surface
    assert found[3:] == pytest.approx([-18 / 19, 0.0, 15 / 19])


def test_depth_is_the_distance_from_the_surface_and_the_crop_is_no_surface() -> None:
    organ = np.ones((10, 5, 5), bool)
    organ[0] = False
    assert np.allclose(depth_map(organ, (2.0, 1.0, 1.0)), 2.0 * np.arange(10)[:, None, None])
    assert not depth_map(np.ones((3, 3, 3), bool), ISOTROPIC).any()
    assert not depth_map(np.zeros((3, 3, 3), bool), ISOTROPIC).any()


def test_the_centre_of_a_bent_region_lies_inside_it() -> None:
    ring = np.zeros((3, 9, 9), bool)
    ring[1, 1:8, 1:8] = True
    ring[1, 2:7, 2:7] = False
    assert ring[nearest_inside(ring)]
