import numpy as np
import pytest
import torch
from scipy import stats

from reactkd_auto.dose.white_noise import WhiteNoise

CPU = torch.device("cpu")
SIZE = (90, 128)


def _pixels(spectrum: torch.Tensor) -> torch.Tensor:
    return torch.fft.irfft2(spectrum.to(torch.complex128) * (SIZE[0] * SIZE[1] / 2) ** 0.5, s=SIZE)


def test_spectra_are_those_of_real_images():
    spectrum = WhiteNoise(SIZE, (1.0,), CPU).spectrum(3, range(2))
    assert spectrum.shape == (2, 90, 65)
    again = torch.fft.rfft2(_pixels(spectrum)) / (SIZE[0] * SIZE[1] / 2) ** 0.5
    assert torch.allclose(again.to(spectrum.dtype), spectrum, atol=1e-5)


def test_pixels_are_standard_normal_and_uncorrelated():
    images = _pixels(WhiteNoise(SIZE, (1.0,), CPU).spectrum(3, range(12)))
    values = images.flatten().numpy()
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert images.var().item() == pytest.approx(1, abs=4 * (2 / values.size) ** 0.5)
    for shift, axis in ((1, 1), (1, 2), (7, 1), (64, 2), (1, 0)):
        assert (images * images.roll(shift, axis)).mean().abs().item() < 4 / values.size**0.5


def test_power_is_flat_to_the_edges_of_the_half_plane():
    power = WhiteNoise(SIZE, (1.0,), CPU).spectrum(4, range(40)).abs().square()
    assert power.mean().item() == pytest.approx(2, rel=0.01)
    for column in (0, 1, 64):
        assert power[:, :, column].mean().item() == pytest.approx(2, rel=0.08)


@pytest.mark.parametrize("taps", [(1.0,), (0.6, 0.8, 0.0), (0.1, 0.5, 0.7, 0.5, 0.1)])
def test_a_slice_is_the_same_whatever_was_asked_for_before(taps):
    ahead = WhiteNoise(SIZE, taps, CPU)
    in_order = torch.cat([ahead.spectrum(9, range(z, min(z + 3, 10))) for z in (0, 3, 6, 9)])
    for z in (9, 0, 4, 5, 3):
        assert torch.equal(ahead.spectrum(9, range(z, z + 1))[0], in_order[z])
        assert torch.equal(WhiteNoise(SIZE, taps, CPU).spectrum(9, range(z, z + 1))[0], in_order[z])


def test_streams_are_independent_and_only_some_are_kept():
    noise = WhiteNoise((32, 32), (0.6, 0.8, 0.0), CPU)
    spectra = torch.stack([torch.view_as_real(noise.spectrum(key, range(1))).flatten() for key in range(20)])
    assert np.abs(np.corrcoef(spectra.numpy()) - np.eye(20)).max() < 0.15
    assert len(noise._kept) < 20
