import numpy as np
import pytest
import torch

from reactkd_auto.dose.geometry import (
    ANGLES,
    BINS,
    MU_WATER,
    Canvas,
    bin_centres,
    projector,
    sample_rays,
)

CPU = torch.device("cpu")


def _project(canvas: Canvas, hu: np.ndarray) -> torch.Tensor:
    return projector(CPU).project(canvas.attenuation(torch.from_numpy(hu)[None]))[0] * canvas.pixel


@pytest.mark.parametrize("radius", [60.0, 120.0, 180.0])
def test_line_integrals_of_a_disk_are_within_three_hundredths(tools, radius):
    canvas = Canvas((512, 512), (0.8, 0.8), None)
    hu = tools.picture((tools.Ellipse((0, 0), (radius, radius), 1000),), 512, 0.8)
    u = bin_centres() * canvas.pixel
    chord = 2 * MU_WATER * (radius**2 - u**2).clamp_min(0).sqrt()
    # Within three coarse pixels of the rim any coarse grid blurs the square-root edge.
    inside = u.abs() < min(0.95 * radius, radius - 3 * canvas.pixel)
    error = (_project(canvas, hu) - chord).abs()[:, inside]
    assert error.max() < 0.03


def test_every_view_holds_the_whole_mass_off_centre_too(tools):
    canvas = Canvas((512, 512), (0.8, 0.8), None)
    hu = tools.picture((tools.Ellipse((60, -80), (30, 50), 1000),), 512, 0.8)
    mass = _project(canvas, hu).sum(1) * canvas.pixel
    assert torch.allclose(mass, torch.full((ANGLES,), np.pi * 30 * 50 * MU_WATER), rtol=2e-3)


def test_a_slice_gives_the_same_bits_whatever_is_projected_beside_it():
    images = torch.rand(11, 128, 128, generator=torch.Generator().manual_seed(0))
    together = projector(CPU).project(images)
    alone = torch.cat([projector(CPU).project(i[None]) for i in images])
    assert torch.equal(together, alone)


def test_projection_runs_along_x_cos_plus_y_sin(tools):
    canvas = Canvas((256, 256), (1.0, 1.0), None)
    path = _project(canvas, tools.picture((tools.Ellipse((40, 20), (5, 5), 1000),), 256, 1.0))
    centre = (path * bin_centres()).sum(1) / path.sum(1) * canvas.pixel
    theta = torch.arange(ANGLES) * np.pi / ANGLES
    assert torch.allclose(centre, 20 * torch.cos(theta) + 40 * torch.sin(theta), atol=0.2)


def test_a_crop_is_surrounded_by_the_assumed_ellipse_of_water():
    canvas = Canvas((40, 40), (0.7, 0.7), (115.0, 165.0))
    path = _project(canvas, np.full((40, 40), 0.0, dtype=np.float32))
    middle = BINS // 2
    assert path[0, middle].item() == pytest.approx(230 * MU_WATER, rel=0.02)
    assert path[ANGLES // 2, middle].item() == pytest.approx(330 * MU_WATER, rel=0.02)


def test_nan_metal_and_padding_give_finite_attenuation():
    hu = torch.full((1, 64, 64), 0.0)
    hu[0, :10], hu[0, 10:20], hu[0, 20:30] = float("nan"), 1e6, -3024
    assert torch.isfinite(Canvas((64, 64), (1.0, 1.0), None).attenuation(hu)).all()


def test_rays_are_sampled_linearly():
    rays = torch.arange(BINS, dtype=torch.float32).expand(ANGLES, -1)
    u = torch.full((1, ANGLES), 3.25)
    assert torch.allclose(sample_rays(rays, u), u + (BINS - 1) / 2)
