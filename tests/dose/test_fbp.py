import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from reactkd_auto.dose.beam import ParallelBeam
from reactkd_auto.dose.calibration import z_filter
from reactkd_auto.dose.degrade import added_noise
from reactkd_auto.dose.engine import DoseStep
from reactkd_auto.dose.fbp import FbpEngine, fbp_engine
from reactkd_auto.dose.geometry import MU_WATER, Canvas
from reactkd_auto.dose.nps import isotropic_nps
from reactkd_auto.dose.parameters import RAY_PITCH_MM, VIEWS
from tests.dose.scanner import PITCH, SPACING, Ellipse, Scanner, exact_moments, picture
from tests.dose.scanner import VIEWS as SCANNER_VIEWS

CPU = torch.device("cpu")
OFF_CENTRE = (Ellipse((4, -6), (50, 70), 1000), Ellipse((20, 25), (12, 18), 600))
SIZE, PIXEL = 192, 0.9


def _engine(scanner: Scanner, hu: np.ndarray, **changes: object) -> FbpEngine:
    calibration = dataclasses.replace(scanner.calibration(), **changes)
    return fbp_engine(hu, calibration, spacing=(SPACING[0], PIXEL, PIXEL), doses=[0.1], device=CPU)


def _phantom(slices: int = 1, phantom: tuple[Ellipse, ...] = OFF_CENTRE) -> np.ndarray:
    return np.stack([picture(phantom, SIZE, PIXEL)] * slices)


def _draw(engine: FbpEngine, counts: torch.Tensor, key: int) -> torch.Tensor:
    return engine.ray_noise(counts, range(1), DoseStep(dose=0.1, start=1.0, key=key))


def test_rays_are_numbered_and_spaced_as_the_flux_presumes():
    assert (VIEWS, RAY_PITCH_MM) == (SCANNER_VIEWS, PITCH)


def _chords(beam: ParallelBeam, phantom: tuple[Ellipse, ...]) -> np.ndarray:
    theta = np.arange(VIEWS)[:, None] * math.pi / VIEWS
    total = np.zeros((VIEWS, beam.bins))
    for e in phantom:
        reach = (e.axes[1] * np.cos(theta)) ** 2 + (e.axes[0] * np.sin(theta)) ** 2
        s = beam.u.numpy()[None] - e.centre[1] * np.cos(theta) - e.centre[0] * np.sin(theta)
        chord = 2 * e.axes[0] * e.axes[1] / reach * np.sqrt(np.maximum(reach - s**2, 0))
        total += e.hu / 1000 * MU_WATER * chord
    return total


def test_line_integrals_equal_analytic_chords_off_centre():
    beam = ParallelBeam(Canvas((SIZE, SIZE), (PIXEL, PIXEL), None), CPU)
    error = np.abs(beam.line_integrals(torch.from_numpy(_phantom()))[0].numpy() - _chords(beam, OFF_CENTRE))
    # Only the square-root edges of the chords are blurred by the pixels.
    assert np.quantile(error, 0.99) < 0.02
    assert np.median(error[error > 0]) < 0.004


def test_a_crop_is_projected_within_the_assumed_ellipse():
    body = (Ellipse((0, 0), (60, 80), 1000), Ellipse((5, 10), (12, 9), 500))
    whole = ParallelBeam(Canvas((SIZE, SIZE), (PIXEL, PIXEL), (60.0, 80.0)), CPU)
    crop = ParallelBeam(Canvas((50, 60), (PIXEL, PIXEL), (60.0, 80.0)), CPU)
    hu = torch.from_numpy(_phantom(1, body))
    for beam, image in ((crop, hu[:, 71:121, 66:126]), (whole, hu)):
        error = np.abs(beam.line_integrals(image)[0].numpy() - _chords(beam, body))
        assert np.quantile(error, 0.99) < 0.02
        assert error.max() < 0.15


def test_reconstruction_of_line_integrals_returns_the_image():
    engine = _engine(Scanner(2e5), _phantom())
    image = engine.reconstruct(engine.beam.line_integrals(engine.slices(range(1))))[0] - 1000
    error = image.numpy() - _phantom()[0]
    flat = ndimage.maximum_filter(_phantom()[0], 15) == ndimage.minimum_filter(_phantom()[0], 15)
    assert (flat & (_phantom()[0] > -500)).sum() > 5000
    assert np.abs(error[flat]).max() < 4
    assert abs(error[flat].mean()) < 0.3


@pytest.mark.parametrize("readings", [1, 3])
def test_rays_gain_exactly_the_variance_that_the_dose_adds_and_no_mean(readings):
    scanner = Scanner(2e3 * readings, readings=readings)
    engine = _engine(scanner, _phantom())
    counts = engine.counts(range(1))
    noise = np.stack([_draw(engine, counts, k)[0].numpy() for k in range(6)])
    v = [exact_moments(counts[0].numpy() * a, 5.0)[0] for a in (0.1, 1.0)]
    expected = (v[0] - v[1]) / readings
    level = np.log(counts[0].numpy() * 0.1)
    assert level.min() < math.log(12)
    for low in np.arange(math.floor(level.min()), level.max()):
        here = (level > low) & (level <= low + 1)
        standard = noise[:, here] / np.sqrt(expected[here])
        n = standard.size
        if n > 2000:
            assert abs(standard.mean()) < 4.5 / math.sqrt(n)
            kurtosis = np.mean(standard**4)
            assert abs(np.mean(standard**2) - 1) < 4.5 * math.sqrt((kurtosis - 1) / n) + 0.003


def test_noise_added_in_two_nested_steps_has_the_variance_of_one():
    engine = _engine(Scanner(3e4), _phantom())
    counts = engine.counts(range(1))
    steps = [DoseStep(0.4, 1.0, 1), DoseStep(0.1, 0.4, 2)]
    nested = sum(engine.ray_noise(counts, range(1), s) for s in steps)
    once = _draw(engine, counts, 3)
    body = engine.beam.line_integrals(engine.slices(range(1))) > 0.5
    assert nested[body].var().item() == pytest.approx(once[body].var().item(), rel=0.02)


def test_sd_map_equals_exact_variance_propagation():
    scanner = Scanner(3e4)
    engine = _engine(scanner, _phantom())
    counts = engine.counts(range(1))
    images = torch.cat([engine.reconstruct(_draw(engine, counts, k)) for k in range(16)])
    rows, columns = np.meshgrid(np.arange(60, 132, 3), np.arange(50, 130, 3), indexing="ij")
    mm = (np.stack([rows.ravel(), columns.ravel()], 1) - (SIZE - 1) / 2) * PIXEL
    truth = scanner.counts(OFF_CENTRE)
    v = [exact_moments(truth * a, 5.0)[0] for a in (0.1, 1.0)]
    exact = scanner.back_project(v[0] - v[1], mm, squared=True)
    found = images.square().mean(0).numpy()[rows.ravel(), columns.ravel()]
    assert np.mean(found / exact) == pytest.approx(1, abs=0.02)


def test_interpolation_leaves_no_mark_on_the_noise_power_spectrum():
    """A kernel that passes all up to the rays' own limit shows what linear interpolation alone would blur."""
    flat = {"kernel_frequencies": (0.0, 1.0), "kernel_ln_h2": (0.0, 0.0)}
    hu = np.full((1, 160, 160), -1000, dtype=np.float32)
    calibration = dataclasses.replace(Scanner(1e4).calibration(), bowtie=0.0, **flat)
    pixel = 0.3
    engine = fbp_engine(hu, calibration, spacing=(5.0, pixel, pixel), doses=[0.1], device=CPU)
    counts = engine.counts(range(1))
    power = np.zeros((160, 160))
    taper = np.outer(np.hanning(160), np.hanning(160))
    for k in range(24):
        noise = engine.reconstruct(_draw(engine, counts, k))[0].numpy()
        power += np.abs(np.fft.fft2(noise * taper)) ** 2 * pixel**2 / (taper**2).sum() / 24
    f = np.fft.fftfreq(160, d=pixel)
    rho = np.hypot(f[:, None], f[None])
    variance = float(engine.rays.table.added_variance(torch.tensor(1e4, dtype=torch.float64), 0.1))
    expected = isotropic_nps(torch.from_numpy(rho), calibration).numpy() * variance
    for low in np.arange(0.1, 0.75, 0.1):
        ring = (rho > low) & (rho <= low + 0.1)
        assert power[ring].sum() / expected[ring].sum() == pytest.approx(1, abs=0.05), low
    assert power[rho > 0.9].max() < 0.02 * expected[(rho > 0.5) & (rho < 0.8)].mean()


def test_slices_correlate_as_calibrated_and_doses_share_their_draws():
    hu = np.stack([picture((Ellipse((0, 0), (20 + i, 30), 1000),), 64, 1.5) for i in range(4)])
    calibration = dataclasses.replace(Scanner(2e4).calibration(), z_taps=z_filter(0.4), readings=2)
    engine = fbp_engine(hu, calibration, spacing=(3.0, 1.5, 1.5), doses=[0.25, 0.1], device=CPU)
    noise = torch.cat([n for _, n in added_noise(engine, [0.25, 0.1], (7, "a"))])
    low = noise[:, 1].reshape(4, -1)
    neighbours = [torch.corrcoef(low[i : i + 2])[0, 1].item() for i in range(3)]
    assert np.mean(neighbours) == pytest.approx(0.4, abs=0.06)
    assert torch.corrcoef(noise[2].reshape(2, -1))[0, 1] > 0.98


def test_starved_rays_and_air_stay_finite():
    hu = np.full((1, 64, 64), 3071, dtype=np.float32)
    hu[0, :20] = -1000
    engine = fbp_engine(hu, Scanner(10.0).calibration(), spacing=(3.0, 5.0, 5.0), doses=[0.02], device=CPU)
    assert engine.counts(range(1)).min() < 1e-6
    for part in (engine.noise(range(1), [DoseStep(0.02, 1.0, 1)]), engine.bias(range(1), [0.02])):
        assert torch.isfinite(part).all()
