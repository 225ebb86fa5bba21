import math

import pytest
import torch

from reactkd_auto.dose.geometry import ANGLES, BINS, Canvas, bin_centres
from reactkd_auto.dose.nodes import Nodes

CPU = torch.device("cpu")
CANVASES = [
    Canvas((512, 512), (0.8, 0.8), None),
    Canvas((300, 400), (0.9, 0.7), None),
    Canvas((41, 50), (0.7, 0.75), (115.0, 165.0)),
    Canvas((1, 3), (5.0, 0.02), None),
]


@pytest.mark.parametrize("canvas", CANVASES)
def test_enlarging_keeps_constants_and_places(canvas):
    nodes = Nodes(canvas, CPU)
    y, x = (nodes.coordinates(axis) for axis in (0, 1))
    large = nodes.enlarge(torch.stack([torch.ones(nodes.shape), (y[:, None] + 2 * x).float()]))
    assert torch.allclose(large[0], torch.ones(canvas.shape))
    rows, columns = (canvas.coordinates(axis) / canvas.pixel for axis in (0, 1))
    assert torch.allclose(large[1], (rows[:, None] + 2 * columns).float(), atol=1e-4)


@pytest.mark.parametrize("canvas", CANVASES)
def test_rays_are_looked_up_where_they_pass_through_the_nodes(canvas):
    nodes = Nodes(canvas, CPU)
    at_nodes = nodes.look_up(bin_centres().expand(1, ANGLES, BINS))
    assert at_nodes.shape == (1, ANGLES, math.prod(nodes.shape))
    y, x = (nodes.coordinates(axis) for axis in (0, 1))
    for k in (0, 5, 32, 50):
        theta = k * math.pi / ANGLES
        expected = (x * math.cos(theta) + y[:, None] * math.sin(theta)).clamp(-(BINS - 1) / 2, (BINS - 1) / 2)
        assert torch.allclose(at_nodes[0, k], expected.float().reshape(-1), atol=1e-4)


def test_several_rays_are_looked_up_as_one_after_another():
    nodes = Nodes(CANVASES[1], CPU)
    rays = torch.rand(3, ANGLES, BINS, generator=torch.Generator().manual_seed(0))
    together = nodes.look_up(rays)
    for i in range(3):
        assert torch.equal(together[i], nodes.look_up(rays[i : i + 1])[0])


def test_nodes_are_about_a_coarse_pixel_apart_and_reach_the_last_pixel():
    for canvas in CANVASES:
        nodes = Nodes(canvas, CPU)
        for n, step, spacing, count in zip(canvas.shape, nodes.steps, canvas.spacing, nodes.shape, strict=True):
            assert step * spacing < 1.5 * max(canvas.pixel, spacing)
            assert (count - 1) * step >= n
