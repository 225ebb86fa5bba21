"""What the page measures: right where the noise is right, and off where it is not."""

import dataclasses

import numpy as np
import pytest
import torch

from reactkd_auto.dose.degrade import degraded_slices, noise_engine
from reactkd_auto.dose.parameters import preset
from reactkd_auto.dose.patches import PATCH, periodograms
from reactkd_auto.dose.volumes import axial_stack
from reactkd_auto.planning import degrade_ct
from reactkd_auto.planning.degrade.measures import SliceNoise, measure_slice
from reactkd_auto.planning.degrade.plots import own_spectrum
from reactkd_auto.planning.degrade.spectra import Spectrum, patch_corners, through_window
from tests.cts import trunk, write_ct

DOSES = [0.25, 0.1]
SPACING = (4.0, 0.85, 0.85)
STREAM = (5, "a")


@pytest.fixture(scope="module")
def soft():
    return dataclasses.replace(preset(reason="test", slice_mm=4.0, ellipse_mm=None, kernel="soft"), bowtie=0.3)


@pytest.fixture(scope="module")
def stack():
    return axial_stack(trunk(2, 256, pixel=0.85, noise=0), SPACING)


@pytest.fixture(scope="module")
def measured(stack, soft) -> SliceNoise:
    engine = noise_engine(stack, soft, DOSES)
    written = dict(zip(DOSES, next(iter(degraded_slices(engine, DOSES, STREAM)))[1], strict=True))
    return measure_slice(engine, stack, written, index=0, stream=STREAM, coupling="shared", count=16)


def test_measured_and_predicted_sd_agree_up_to_sampling(measured):
    for dose in DOSES:
        agreement = measured.agreement(dose)
        assert agreement.median == pytest.approx(1, abs=0.015)
        assert agreement.rms == pytest.approx(agreement.floor, rel=0.25)
        assert agreement.rms < 0.06


def test_a_wrong_flux_is_seen_in_the_sd(measured, stack, soft):
    other = noise_engine(stack, dataclasses.replace(soft, flux=(1.2 * soft.flux[0],)), DOSES)
    agreement = dataclasses.replace(measured, model=other).agreement(0.1)
    assert agreement.median == pytest.approx(np.sqrt(1.2), rel=0.03)
    assert agreement.rms > 1.5 * agreement.floor


def test_spectra_agree_with_the_rays_and_a_wrong_kernel_is_seen(measured, stack, soft):
    for region in range(len(measured.corners)):
        agreement = measured.spectrum_agreement(region, 0.1)
        assert agreement.radial < 0.08
        assert agreement.directional < 0.10
        assert agreement.radial_floor < 0.05
    sharper = dataclasses.replace(soft, kernel_ln_h2=tuple(0.7 * v for v in soft.kernel_ln_h2))
    wrong = dataclasses.replace(measured, model=noise_engine(stack, sharper, DOSES))
    assert wrong.spectrum_agreement(0, 0.1).radial > 2 * measured.spectrum_agreement(0, 0.1).radial


def test_noise_without_direction_is_seen(measured, stack, soft):
    one = dataclasses.replace(measured.model, **one_component(measured.model))
    drawn = measure_slice(one, stack, measured.written, index=0, stream=STREAM, coupling="shared", count=16)
    isotropic = dataclasses.replace(drawn, model=measured.model)
    worst = max(range(len(measured.corners)), key=lambda i: measured.spectrum_agreement(i, 0.1).anisotropy)
    right, wrong = (m.spectrum_agreement(worst, 0.1) for m in (measured, isotropic))
    assert right.anisotropy > 1.8
    assert wrong.directional > max(0.15, 4 * right.directional)


def one_component(model):
    """A rank of 1: the negative control of the directional measure."""
    return {"basis": model.basis[:, :1], "filters": model.filters[:1], "covariance": model.covariance[:1, :1]}


def test_regions_tell_means_and_sds_of_full_and_low_dose(measured, stack):
    for roi in measured.rois():
        r, c = roi.corner
        full = stack.array[0, r : r + PATCH, c : c + PATCH].astype(float)
        assert roi.mean_hu == pytest.approx(full.mean(), abs=1e-3)
        for row in roi.doses:
            low = measured.written[row.dose][r : r + PATCH, c : c + PATCH].astype(float)
            assert row.mean_hu == pytest.approx(low.mean(), abs=1e-2)
            assert row.added_sd_hu == pytest.approx(np.sqrt(np.mean((low - full) ** 2)), rel=1e-4)
            assert abs(row.mean_hu - roi.mean_hu) < 4 * row.mean_scatter_hu + 0.1
            assert row.realised_sd_hu == pytest.approx(row.predicted_sd_hu, rel=0.04)
            assert row.added_sd_hu == pytest.approx(row.predicted_sd_hu, abs=4 * row.sd_scatter_hu)
            assert row.expected_sd_hu == pytest.approx(np.hypot(roi.sd_hu, row.predicted_sd_hu))


def test_realisations_are_independent_of_the_results(measured):
    written = measured.written[0.1].astype(float) - measured.hu
    again = measure_slice(
        measured.model, axial_stack(trunk(2, 256, pixel=0.85, noise=0), SPACING), measured.written,
        index=0, stream=STREAM, coupling="shared", count=2,
    )  # fmt: skip
    first = np.sqrt(again.drawn.variance[0, 1])
    assert abs(np.corrcoef(np.abs(written[measured.body]), first[measured.body])[0, 1]) < 0.1


def test_the_window_smears_a_spectrum_as_it_does_a_periodogram():
    """White noise filtered to a steep spectrum; the plain spectrum is far off, the windowed one is not."""
    fine = 4 * PATCH
    rho = torch.hypot(torch.fft.fftfreq(fine)[:, None], torch.fft.rfftfreq(fine)[None]).double()
    power = torch.exp(-((rho / 0.06) ** 2))
    torch.manual_seed(0)
    noise = torch.fft.irfft2(torch.fft.rfft2(torch.randn(400, fine, fine).double()) * power.sqrt(), s=(fine, fine))
    found = periodograms(noise[:, :PATCH, :PATCH].float().numpy(), 1.0).double().mean(0)
    expected, plain = through_window(power), power[::4, ::4]
    used = expected > 1e-2 * expected.max()
    assert (found / expected - 1)[used].abs().median() < 0.06
    assert (found / plain - 1)[used].abs().median() > 0.3


def test_directions_are_those_of_the_frequency():
    """Stripes along rows vary down the columns: their frequency points at 90°."""
    power = torch.full((PATCH, PATCH // 2 + 1), 1.0).double()
    power[4, 0] = power[-4, 0] = 200.0
    spectrum = Spectrum(power.numpy(), np.ones(power.shape), (1.0, 1.0))
    degrees, measured, model = spectrum.directional()
    assert degrees[measured.argmax()] == 90
    assert model == pytest.approx(np.ones(12))
    rho, radial, _ = spectrum.radial()
    assert rho[radial.argmax()] == pytest.approx(4 / PATCH, abs=0.5 / PATCH)


def test_patches_stay_in_the_image():
    assert len(patch_corners((40, 40), (128, 128))) == 9
    assert patch_corners((0, 0), (32, 128)) == [(0, 0), (0, 16)]


def test_own_noise_of_a_ct_is_compared_with_its_calibration_without_bias(stack, soft):
    """A CT whose noise is the model's own: full-dose SD ² = added variance at half the dose, in the quantum limit."""
    quantum = dataclasses.replace(soft, electronic_noise=0.0)
    engine = noise_engine(stack, quantum, [0.5])
    noisy = np.stack([parts[0] for _, parts in degraded_slices(engine, [0.5], STREAM)])
    own = axial_stack(noisy, SPACING)
    model = noise_engine(own, quantum, [0.5])
    looked = measure_slice(model, own, {0.5: noisy[0]}, index=0, stream=STREAM, coupling="shared", count=2)
    spectrum = own_spectrum(looked, own)
    _, measured, expected = spectrum.radial()
    assert np.median(measured / expected) == pytest.approx(1, abs=0.08)
    for roi in looked.rois():
        assert roi.sd_hu == pytest.approx(roi.model_sd_hu, rel=0.15)


@pytest.mark.parametrize(("factor", "electrons", "limits"), [(10, 0.0, (0.98, 1.02)), (1 / 40, 5.0, (1.3, 20))])
def test_departure_from_the_quantum_law_tells_of_starved_rays(stack, soft, factor, electrons, limits):
    scan = dataclasses.replace(soft, flux=(factor * soft.flux[0],), electronic_noise=electrons)
    engine = noise_engine(stack, scan, [0.1])
    looked = measure_slice(
        engine, stack, {0.1: stack.array[0]}, index=0, stream=STREAM, coupling="shared", count=2
    )  # fmt: skip
    assert all(limits[0] < roi.departure(roi.doses[0]) < limits[1] for roi in looked.rois())


def test_starved_doses_are_warned_of(tmp_path):
    write_ct(tmp_path / "a.nii.gz", trunk(2))
    scan = preset(reason="test", slice_mm=4.0, ellipse_mm=None)
    starved = dataclasses.replace(scan, flux=(scan.flux[0] / 100,))
    for calibration, expected in ((scan, 0), (starved, 1)):
        (result,) = degrade_ct(
            tmp_path / "a.nii.gz", tmp_path / str(expected), doses=[0.1], calibration=calibration, quiet=True
        ).results
        assert sum("rays are starved" in w for w in result.warnings) == expected
