"""A tree of DICOM studies becomes a clean raw dataset; bad patients are named, the others finished."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset import LabelledCase, read_dataset, read_labels
from reactkd_auto.dataset_conversion.dicom import command
from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import read_image
from tests.dataset_conversion.dicom.studies import (
    PATIENTS,
    PET_ORIGIN,
    SUV,
    convert,
    ct_of,
    pet_of,
    values,
    write_labels,
)
from tests.dicom_writing import activity, write_series


def test_the_cohort_is_clean_and_every_voxel_is_in_its_place_and_unit(tree: Path, labels: Path) -> None:
    outcome = convert(tree, labels)
    assert outcome.failures == outcome.skipped == {}
    assert verify_dataset(outcome.folder) == []
    dataset = read_dataset(outcome.folder)
    assert [(c.name, c.role) for c in dataset.channels] == [("CT", "ct"), ("PET", "pet_suv")]
    assert [(r.name, r.value, r.role) for r in dataset.regions] == [("liver", 1, "organ"), ("GTV", 2, "lesion")]
    assert dataset.classes == ("high", "low")
    rows = read_labels(outcome.folder / "labelsTr.csv", dataset.classes)
    assert rows[1] == LabelledCase("case_0002", "patient_0002", 0)
    for number, row in enumerate(rows):
        base = read_image(outcome.folder / f"imagesTr/{row.case}_0000.nii.gz")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(base), values(number))
        np.testing.assert_allclose(base.GetOrigin(), (-10, -20, 30), atol=1e-4)
        pet = read_image(outcome.folder / f"imagesTr/{row.case}_0001.nii.gz")
        np.testing.assert_allclose(sitk.GetArrayFromImage(pet), activity(6, (5, 5), number) * SUV, rtol=2e-3)
        np.testing.assert_allclose(pet.GetOrigin(), PET_ORIGIN, atol=1e-4)
    regions = sitk.GetArrayFromImage(read_image(outcome.folder / "regionsTr/case_0001.nii.gz"))
    x, y = -10 + 1.5 * np.arange(10), -20 + 2.0 * np.arange(8)
    lesion = np.outer(abs(y + 12) <= 4, abs(x + 3) <= 4)
    organ = np.outer(abs(y + 12) <= 6, abs(x + 3) <= 6)
    np.testing.assert_array_equal(regions[1], np.where(lesion, 2, organ))
    np.testing.assert_array_equal(regions[3], organ)
    assert not regions[[0, 4, 5]].any()


def test_bad_patients_are_named_and_the_good_ones_finished(tree: Path, labels: Path) -> None:
    next((tree / "disc0/A0").rglob("S1/002.dcm")).unlink()
    weightless = pet_of(PATIENTS[1], 1)
    for made in weightless:
        del made.PatientWeight
    write_series(tree / "disc1/A1/S2", weightless)
    path = next((tree / "disc0/A2").rglob("S1/003.dcm"))
    path.write_bytes(path.read_bytes()[:-20])
    for patient, label in {"new1": "low", "new2": "high", "absent": "low"}.items():
        labels.write_text(f"{labels.read_text()}{patient},{label}\n")
        if patient != "absent":
            write_series(tree / patient, ct_of(patient, len(patient) + ord(patient[-1])))
    outcome = convert(tree, labels)
    assert sorted(outcome.failures) == ["case_0001", "case_0002", "case_0003", "case_0007"]
    assert "missing slices" in outcome.failures["case_0001"]
    assert "no PatientWeight" in outcome.failures["case_0002"]
    assert "003.dcm" in outcome.failures["case_0003"]
    assert "cut off" in outcome.failures["case_0003"]
    assert "line 8: no DICOM series of this patient" in outcome.failures["case_0007"]
    assert not any("SECRET" in s for s in outcome.failures.values())
    names = {p.name for p in (outcome.folder / "imagesTr").iterdir()}
    assert names == {f"case_000{n}_000{c}.nii.gz" for n, c in ((4, 0), (4, 1), (5, 0), (6, 0))}
    assert [r.case for r in read_labels(outcome.folder / "labelsTr.csv", ("high", "low"))] == [
        "case_0004",
        "case_0005",
        "case_0006",
    ]


def test_a_bad_channel_may_be_left_out_instead(tree: Path, labels: Path) -> None:
    write_series(tree / "disc1/A1/S2", pet_of(PATIENTS[1], 1, CorrectedImage=["DECY"]))
    outcome = convert(tree, labels, skip_bad_channels=True)
    assert outcome.failures == {}
    assert list(outcome.skipped) == ["case_0002, PET"]
    assert "attenuation" in outcome.skipped["case_0002, PET"]
    assert not (outcome.folder / "imagesTr/case_0002_0001.nii.gz").exists()
    assert verify_dataset(outcome.folder) == []
    assert convert(tree, labels, skip_bad_channels=True).skipped == outcome.skipped
    (tree / "disc0/A2/S2/damaged.dcm").write_bytes(bytes(100))
    assert "damaged.dcm" in convert(tree, labels).failures["case_0003"]
    outcome = convert(tree, labels, skip_bad_channels=True)
    assert list(outcome.skipped) == ["case_0002, PET", "case_0003, PET"]


def test_exit_codes_tell_all_some_and_none(tree: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-i", str(tree), "-l", str(labels), "-w", str(tree.parent / "w"), "--name", "C", "--quiet"]
    arguments += ["--workers", "1"]
    assert command.main(arguments) == 0
    next((tree / "disc0/A0").rglob("S1/002.dcm")).unlink()
    assert command.main(arguments) == 3
    assert "1 of 4 cases could not be made" in capsys.readouterr().err
    write_labels(labels, {"absent1": "low", "absent2": "high"})
    assert command.main(arguments) == 2
    assert "2 of 2 cases" in capsys.readouterr().err
    assert not list((tree.parent / "w").rglob("dataset.json"))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_spoils_at_most_its_own_patient(tree: Path, labels: Path, data: st.DataObject) -> None:
    paths = sorted(p for p in (tree / "disc0/A0").rglob("*.dcm"))
    path = data.draw(st.sampled_from(paths))
    whole = path.read_bytes()
    content = bytearray(whole)
    at = data.draw(st.integers(0, len(content) - 5))
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(bytes(content))
    try:
        outcome = convert(tree, labels)
        assert set(outcome.failures) <= {"case_0001"}
        assert not any(" failed with " in f" {s}" or "SECRET" in s for s in outcome.failures.values())
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("change", [lambda t: t / "absent", lambda t: t / "readme.txt"])
def test_a_source_that_is_no_folder_is_refused(tree: Path, labels: Path, change: Callable[[Path], Path]) -> None:
    with pytest.raises(UserError, match="no such folder"):
        convert_dicom(change(tree), labels, "C", workspace=tree.parent / "w")


@pytest.mark.data
def test_a_real_ct_and_a_real_pet_are_sorted_and_converted(real_data: Path, tmp_path: Path) -> None:
    """Each real series lacks a partner: the PET's patient is refused for want of a CT, the CT's is converted."""
    (tmp_path / "labels.csv").write_text("patient,label\nCRLM-CT-1004,a\nSTS_001,b\n")
    for name in ("ct_dicom_CRLM-CT-1004", "pet_dicom_STS_001"):
        target = tmp_path / "real" / name
        target.mkdir(parents=True)
        for path in (real_data / name).glob("*.dcm"):
            (target / path.name).symlink_to(path)
    outcome = convert(tmp_path / "real", tmp_path / "labels.csv")
    assert list(outcome.failures) == ["case_0002"]
    assert "no CT that fits" in outcome.failures["case_0002"]
    image = read_image(outcome.folder / "imagesTr/case_0001_0000.nii.gz")
    reference = read_image(real_data / "ct_dicom_CRLM-CT-1004")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(reference))
    with (outcome.folder / "labelsTr.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"case": "case_0001", "patient": "patient_0001", "label": "a"}]
