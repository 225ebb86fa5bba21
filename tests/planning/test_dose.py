"""Noise in the fingerprint: measured once, pooled where needed, taken up again, and used by preprocessing."""

import dataclasses
import json

import numpy as np
import pytest

from reactkd_auto.cases import read_properties
from reactkd_auto.dataset import LabelledCase, write_labels
from reactkd_auto.dose import calibrate
from reactkd_auto.dose.parameters import preset
from reactkd_auto.fingerprint import LOW_DOSES, DoseMeasurement, ScanInfo, read_fingerprint
from reactkd_auto.imageio import read_image
from reactkd_auto.jsonio import to_plain
from reactkd_auto.plan import read_plan
from reactkd_auto.planning import dose as planning_dose
from reactkd_auto.planning.command import main
from reactkd_auto.planning.dose import noise_flags
from tests.dose.scanner import Scanner
from tests.planning.cohorts import new_case
from tests.planning.raw_cohort import FOLDER, WITH_CT, make_raw, write_image

SPACING = (3.0, 1.0, 1.0)
SIZE = (4, 64, 72)
COUNT = 6


def crop(number):
    """Tissue with the noise of an FBP at its kernel: few patches, so that the group is needed."""
    rng = np.random.default_rng(number)
    rho = np.hypot(np.fft.fftfreq(SIZE[1])[:, None], np.fft.rfftfreq(SIZE[2])[None])
    response = np.sqrt(rho) * np.exp(-np.log(2) * (rho / 0.3) ** 2)
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(SIZE)) * response, s=SIZE[1:])
    hu = 40 + (10 + 2 * (number % 3)) * noise / noise.std()
    hu[:, :6] = -1000
    return np.rint(hu).astype(np.int16)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("crops")
    raw = make_raw(workspace, COUNT, dataset=WITH_CT)
    labels = np.zeros(SIZE, np.uint8)
    labels[1:3, 24:40, 24:40] = 1
    for i in range(COUNT):
        write_image(raw / "imagesTr" / f"case_{i}_0000.nii.gz", crop(i), SPACING)
        write_image(raw / "regionsTr" / f"case_{i}.nii.gz", labels, SPACING)
    (raw / "imagesTr" / "case_0_0000.json").write_text(json.dumps({"ConvolutionKernel": "I30f"}))
    assert run(workspace) == 0
    return workspace


def run(workspace):
    return main(["-w", str(workspace), "--device", "cpu", "--workers", "1", "--quiet"])


def out(workspace):
    return workspace / "preprocessed" / FOLDER


def test_small_crops_are_pooled_in_the_fingerprint_and_a_named_other_kernel_is_not(planned):
    cases = {c.case: c for c in read_fingerprint(out(planned)).cases}
    pooled = [cases[f"case_{i}"].dose for i in range(1, COUNT)]
    assert all(d.pooled == COUNT - 1 and not d.preset and d.cropped for d in pooled)
    assert len({tuple(d.calibration["kernel_ln_h2"]) for d in pooled}) == 1
    assert all(len(d.departures) == len(LOW_DOSES) for d in pooled)
    assert cases["case_0"].scan.iterative
    assert cases["case_0"].dose.pooled == 1
    assert cases["case_0"].dose.preset


def test_preprocessing_takes_the_calibration_from_the_fingerprint_and_flags_it(planned):
    for case in read_fingerprint(out(planned)).cases:
        stored = read_properties(out(planned) / "cases", case.case)
        assert {k: v for k, v in stored.dose_calibration.items() if k != "reference_dose"} == case.dose.calibration
        assert any("is a crop" in flag for flag in stored.flags)
        assert any("rests on a preset" in flag for flag in stored.flags) == case.dose.preset
        assert any("iterative or learned" in flag for flag in stored.flags) == (case.case == "case_0")


def test_crops_get_no_dose_below_a_tenth_and_the_plan_says_why(planned):
    plan = read_plan(out(planned) / "plan.json")
    assert plan.dose.range[0] >= 0.1
    assert plan.dose.levels[0] == plan.dose.range[0]
    assert "5 with CTs of their kind" in plan.reasons["dose"]


def test_a_second_run_measures_and_pools_nothing(planned, monkeypatch):
    def never(*_, **__):
        raise AssertionError("measured again")

    before = (out(planned) / "fingerprint.json").read_bytes()
    monkeypatch.setattr(planning_dose, "gather", never)
    monkeypatch.setattr(planning_dose, "calibrate_group", never)
    assert run(planned) == 0
    assert (out(planned) / "fingerprint.json").read_bytes() == before


def test_where_the_group_changes_so_does_the_calibration_and_alone_a_crop_has_none(planned):
    """Last test of the module: it changes the cohort."""
    raw = planned / "raw" / FOLDER
    before = {c.case: c.dose for c in read_fingerprint(out(planned)).cases}
    rows = [LabelledCase(f"case_{i}", f"patient_{i}", i % 2) for i in range(COUNT - 1)]
    write_labels(raw / "labelsTr.csv", rows, WITH_CT.classes)
    assert run(planned) == 0
    after = {c.case: c.dose for c in read_fingerprint(out(planned)).cases}
    assert after["case_0"] == before["case_0"]
    assert after["case_1"].pooled == COUNT - 2
    assert after["case_1"].pooled_hash != before["case_1"].pooled_hash
    write_labels(raw / "labelsTr.csv", rows[:2], WITH_CT.classes)
    assert run(planned) == 0
    alone = {c.case: c.dose for c in read_fingerprint(out(planned)).cases}["case_1"]
    assert (alone.pooled, alone.pooled_hash, alone.preset) == (1, "", True)
    image = read_image(raw / "imagesTr" / "case_1_0000.nii.gz")
    assert alone.calibration == to_plain(calibrate(image))


def test_flags_name_what_cannot_be_trusted():
    def flags(calibration, scan=None, pooled_hash=""):
        dose = DoseMeasurement(to_plain(calibration), (1.0,) * len(LOW_DOSES), 0.3, 200, 3, pooled_hash)
        return noise_flags(new_case(0, dose=dose, scan=scan))

    whole = dataclasses.replace(Scanner(1e6).calibration(), patches=50)
    assert flags(whole) == ()
    assert noise_flags(dataclasses.replace(new_case(0), dose=None)) == ()
    (crop_flag,) = flags(dataclasses.replace(whole, ellipse_mm=(115.0, 165.0)))
    assert "230 × 330 mm" in crop_flag
    (preset_flag,) = flags(preset(reason="too dark", slice_mm=3.0, ellipse_mm=None))
    assert "preset: too dark." in preset_flag
    (of_its_kind,) = flags(dataclasses.replace(whole, patches=0), pooled_hash="x")
    assert "typical of the CTs of its kind" in of_its_kind
    (denoised,) = flags(dataclasses.replace(whole, fallback="denoised"), pooled_hash="x")
    assert "not this CT's own: denoised." in denoised
    (named,) = flags(whole, ScanInfo(kernel="Br40d\\3", iterative=True))
    assert "Br40d\\3" in named
