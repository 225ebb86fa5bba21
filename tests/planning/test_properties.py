"""What is measured on every case, on phantoms whose answer is known; regions and values in them: test_measuring."""

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region
from reactkd_auto.fingerprint import CaseFingerprint
from reactkd_auto.imageio import RawCase, load_case
from reactkd_auto.planning import fingerprint
from reactkd_auto.planning.dose import measure_dose
from reactkd_auto.planning.fingerprint import PROPERTIES, fingerprint_case
from reactkd_auto.planning.properties import body, geometry
from tests.planning.raw_cohort import DATASET, WITH_CT, make_raw

CT = Dataset("T", (Channel("CT", "ct"),), ("a", "b"), (Region("lesion", 2, "lesion"),))
PIXEL = 0.8
"""mm; frequencies up to 0.5 mm⁻¹ are there."""
ROW = LabelledCase("case_0", "patient_0", 0)


def raw_of(array, spacing):
    made = sitk.GetImageFromArray(array.astype(np.float32))
    made.SetSpacing(spacing[::-1])
    return RawCase("a", {0: made}, None)


def test_size_and_spacing_are_z_y_x():
    assert geometry(raw_of(np.zeros((3, 4, 5)), (3.0, 2.0, 1.0)), CT) == {"size": (3, 4, 5), "spacing_mm": (3, 2, 1)}


@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (3.0, 2.0, 2.0)])
def test_the_body_is_measured_without_the_couch_and_with_the_air_in_it(spacing):
    z, y, x = np.meshgrid(*(np.arange(0, e, s) for e, s in zip((90, 300, 400), spacing, strict=True)), indexing="ij")
    hu = np.full(z.shape, -1000.0)
    inside = ((y - 140) / 100) ** 2 + ((x - 200) / 150) ** 2 <= 1
    hu[inside] = 20
    hu[((y - 140) / 40) ** 2 + ((x - 160) / 40) ** 2 <= 1] = -900
    hu[(np.abs(y - 262) <= 2) & (np.abs(x - 200) < 190)] = 300
    assert body(raw_of(hu, spacing), CT)["body_extent_mm"] == pytest.approx((90, 200, 300), abs=9)


def test_a_crop_is_all_body_and_a_shape_has_none():
    assert body(raw_of(np.full((10, 20, 20), 40.0), (4.0, 2.0, 2.0)), CT)["body_extent_mm"] == (40, 40, 40)
    assert body(raw_of(np.ones((4, 4, 4)), (1.0, 1.0, 1.0)), DATASET)["body_extent_mm"] is None


def noisy(sd_hu, sigma_mm, size=(4, 96, 96)):
    """White noise, or such with the power spectrum of a Gaussian of this width, of a known standard deviation."""
    rho = np.hypot(np.fft.fftfreq(size[1], PIXEL)[:, None], np.fft.rfftfreq(size[2], PIXEL)[None])
    response = np.exp(-2 * (np.pi * sigma_mm * rho) ** 2)
    noise = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(0).standard_normal(size)) * response, s=size[1:])
    return 40 + sd_hu * noise / noise.std(), rho, response


@pytest.mark.parametrize(("sd_hu", "sigma_mm"), [(12.0, 0.0), (30.0, 0.0), (12.0, 0.5)])
def test_noise_level_and_kernel_sharpness_are_those_written(tmp_path, sd_hu, sigma_mm):
    hu, rho, response = noisy(sd_hu, sigma_mm)
    found = measure_dose(raw_of(hu, (3.0, PIXEL, PIXEL)), tmp_path)
    assert found.noise_hu == pytest.approx(sd_hu, rel=0.05)
    band = (rho >= 0.2) & (rho <= 0.5)
    ring = response[band] ** 2 / rho[band]  # every ring of frequencies counts alike: 0.35 for white noise
    expected = float((rho[band] * ring).sum() / ring.sum())
    assert found.sharpness == pytest.approx(expected, abs=0.012)


def test_where_no_tissue_is_homogeneous_noise_is_not_guessed(tmp_path):
    stripes = np.tile(np.where(np.arange(64) % 8 < 4, 60.0, -80.0), (4, 64, 1))
    found = measure_dose(raw_of(stripes, (3.0, 1.0, 1.0)), tmp_path)
    assert (found.noise_hu, found.sharpness) == (None, None)


def test_every_property_writes_fields_of_its_own(tmp_path):
    raw = load_case(make_raw(tmp_path, 1, dataset=WITH_CT), WITH_CT, "case_0")
    written = [key for measure in PROPERTIES for key in measure(raw, WITH_CT)]
    assert len(set(written)) == len(written)
    assert set(written) <= {f.name for f in dataclasses.fields(CaseFingerprint)}


def test_the_site_is_the_label_table_s_else_the_sidecar_s(tmp_path):
    raw = make_raw(tmp_path, 1)
    sidecar = raw / "imagesTr" / "case_0_0000.json"
    options = {"raw": raw, "dataset": DATASET, "store": tmp_path / "store"}
    assert not fingerprint_case(ROW, **options).site
    sidecar.write_text(json.dumps({"InstitutionName": "South"}))
    assert fingerprint_case(ROW, **options).site == "South"
    assert fingerprint_case(dataclasses.replace(ROW, site="North"), **options).site == "North"
    assert fingerprint_case(ROW, **options).site == "South"


@pytest.mark.parametrize("age", ["version", "key"])
def test_measurements_of_an_older_release_are_made_again(tmp_path, monkeypatch, age):
    options = {"raw": make_raw(tmp_path, 1), "dataset": DATASET, "store": tmp_path / "store"}
    now = fingerprint_case(ROW, **options)
    stored = tmp_path / "store" / "case_0.json"
    if age == "version":
        with monkeypatch.context() as patch:
            patch.setattr(fingerprint, "MEASUREMENT_VERSION", fingerprint.MEASUREMENT_VERSION - 1)
            fingerprint_case(ROW, **options)
    document = json.loads(stored.read_text()) | {"size": [1, 1, 1]}
    if age == "key":
        document["girth"] = document.pop("present")
    stored.write_text(json.dumps(document))
    assert fingerprint_case(ROW, **options) == now
