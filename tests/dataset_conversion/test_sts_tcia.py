"""Soft-tissue-Sarcoma in TCIA's layout: CT in HU, PET in SUV, contours drawn on the CT, outcome in words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion import sts_tcia
from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import read_image
from tests.dicom_structures import write_structures
from tests.dicom_writing import DOSE_BQ, WEIGHT_KG, activity, hounsfield, make_series, write_series

OUTCOMES = {
    "STS_001": "Mets - lungs",
    "STS_002": "No recurrence, no mets",
    "STS_003": "Local recurrence, mets (Lung, bone)",
    "STS_004": "Local recurrence",
    "STS_005": None,
}
SUV = 2 * 1000 * WEIGHT_KG / DOSE_BQ


def square(z: float, half: float) -> np.ndarray:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return np.array([(-3.0 + x, -12.0 + y, z) for x, y in corners])


def write_patient(root: Path, patient: str, seed: int) -> None:
    """PET/CT of one frame of reference and MR of another, each with a structure set of its own."""
    ct = make_series(hounsfield(seed=seed), patient=patient, study="petct", series="CT IMAGES - RESEARCH")
    pet = make_series(
        activity(6, (5, 5), seed), "PT", patient=patient, study="petct", series="PET AC",
        spacing=(3.0, 3.0, 3.0), origin=(-9.0, -19.0, 30.0),
    )  # fmt: skip
    t1 = make_series(activity(6, (8, 8), seed + 50) / 100, "MR", patient=patient, study="mr", series="T1", frame="mr")
    t2 = make_series(activity(6, (8, 8), seed + 90) / 100, "MR", patient=patient, study="mr", series="T2FS", frame="mr")
    petct, mr = root / patient / "09-06-2000-NA-Thorax-1", root / patient / "08-30-2000-NA-Thigh-2"
    series = [(petct, "CT", ct), (petct, "PET", pet), (mr, "T1", t1), (mr, "T2FS", t2)]
    for number, (study, name, slices) in enumerate(series, start=1):
        write_series(study / f"{number}.000000-{name}-0000{number}", slices)
        half = 4.0 if name == "CT" else 3.0
        drawn = {
            "GTV_Mass": [square(z, half) for z in (33.0, 36.0)],
            "GTV_Edema": [square(z, half + 2) for z in (33.0, 36.0, 39.0)],
        }
        write_structures(study / f"RTstruct_{name}" / "1-1.dcm", slices[0], drawn, series=f"RTstruct_{name}")


def write_table(root: Path) -> Path:
    path = root / sts_tcia.TABLE
    columns = {"Patient ID": list(OUTCOMES), "Age": [50] * 5, "Outcome (recurrence, mets)": list(OUTCOMES.values())}
    with pd.ExcelWriter(path) as book:
        pd.DataFrame(columns).to_excel(book, sheet_name="Clinical", index=False)
        pd.DataFrame({"LungMets": [0]}).to_excel(book, sheet_name="Outcomes", index=False)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for seed, patient in enumerate(OUTCOMES):
        write_patient(root, patient, seed)
    write_table(root)
    return root


def convert(source: Path, **options: object) -> Conversion:
    options = {"workspace": source.parent / "w", "workers": 1, "quiet": True, **options}
    return sts_tcia.convert_sts_tcia(source, **options)  # type: ignore[arg-type]


def run(source: Path, *more: str) -> int:
    return sts_tcia.main(["-i", str(source), "-w", str(source.parent / "w"), "--quiet", "--workers", "1", *more])


def values(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_image(path))


def test_the_collection_becomes_a_clean_dataset(source: Path) -> None:
    outcome = convert(source)
    assert outcome.failures == outcome.skipped == {}
    assert verify_dataset(outcome.folder) == []
    dataset = read_dataset(outcome.folder)
    assert [(c.name, c.role) for c in dataset.channels] == [("CT", "ct"), ("FDG", "pet_suv")]
    assert [(r.name, r.value, r.role) for r in dataset.regions] == [("oedema", 1, "context"), ("tumour", 2, "lesion")]
    rows = read_labels(outcome.folder / "labelsTr.csv", dataset.classes)
    assert [(r.case, r.patient, r.label) for r in rows] == [
        (p, p, label) for p, label in zip(OUTCOMES, (1, 0, 1, 0, None), strict=True)
    ]
    for seed, patient in enumerate(OUTCOMES):
        np.testing.assert_array_equal(values(outcome.folder / f"imagesTr/{patient}_0000.nii.gz"), hounsfield(seed=seed))
        pet = values(outcome.folder / f"imagesTr/{patient}_0001.nii.gz")
        np.testing.assert_allclose(pet, activity(6, (5, 5), seed) * SUV, rtol=2e-3)
    x, y = -10 + 1.5 * np.arange(10), -20 + 2.0 * np.arange(8)
    tumour = np.outer(abs(y + 12) <= 4, abs(x + 3) <= 4)
    oedema = np.outer(abs(y + 12) <= 6, abs(x + 3) <= 6)
    regions = values(outcome.folder / "regionsTr/STS_002.nii.gz")
    np.testing.assert_array_equal(regions[1], np.where(tumour, 2, oedema))
    np.testing.assert_array_equal(regions[3], oedema)


def test_mr_of_another_frame_is_refused_or_left_out_by_name(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source, "--mr") == 2
    assert "register it first" in capsys.readouterr().err
    assert run(source, "--mr", "--skip_bad_channels") == 0
    said = capsys.readouterr().err
    assert said.count("left out") == 5
    assert "STS_001, T1: left out" in said
    folder = source.parent / "w/raw/Dataset001_STS_TCIA"
    assert [c.name for c in read_dataset(folder).channels] == ["CT", "FDG", "T1"]
    assert [p.found for p in verify_dataset(folder)] == ["channel T1 in no case"]


def test_mr_that_was_registered_to_the_ct_is_a_channel(source: Path) -> None:
    for seed, patient in enumerate(OUTCOMES):
        values_of = activity(6, (8, 8), seed) / 100
        slices = make_series(values_of, "MR", patient=patient, study="mr", series="T1 registered")
        (folder,) = (source / patient).glob("*/*-T1-*")
        write_series(folder, slices)
    folder = convert(source, mr=True).folder
    assert verify_dataset(folder) == []
    np.testing.assert_allclose(values(folder / "imagesTr/STS_004_0002.nii.gz"), activity(6, (8, 8), 3) / 100, atol=0.51)


def test_bad_patients_are_named_the_others_finished_and_mended_later(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ct,) = (source / "STS_001").glob("*/*-CT-*")
    (ct / "003.dcm").rename(source.parent / "away")
    (pet,) = (source / "STS_002").glob("*/*-PET-*")
    good = make_series(
        activity(6, (5, 5), 1), "PT", patient="STS_002", study="petct", series="PET AC",
        spacing=(3.0, 3.0, 3.0), origin=(-9.0, -19.0, 30.0),
    )  # fmt: skip
    for made in good:
        del made.PatientWeight
    write_series(pet, good)
    table = pd.read_excel(source / sts_tcia.TABLE)
    table.loc[5] = ["STS_006", 50, "Mets - lungs"]
    table.to_excel(source / sts_tcia.TABLE, index=False)
    assert run(source) == 3
    said = capsys.readouterr().err
    assert "3 of 6 cases could not be made" in said
    for words in (
        "STS_001: ",
        "missing slices",
        "no PatientWeight",
        "patient STS_006: no DICOM series of this patient",
    ):
        assert words in said
    folder = source.parent / "w/raw/Dataset001_STS_TCIA"
    kept = {p: p.stat().st_mtime_ns for p in (folder / "imagesTr").iterdir()}
    assert {p.name[:7] for p in kept} == {"STS_003", "STS_004", "STS_005"}
    (source.parent / "away").rename(ct / "003.dcm")
    assert run(source) == 3
    assert "2 of 6 cases" in capsys.readouterr().err
    assert (folder / "imagesTr/STS_001_0000.nii.gz").exists()
    assert all(p.stat().st_mtime_ns == before for p, before in kept.items())


def test_an_interrupted_conversion_goes_on_where_it_stopped(source: Path) -> None:
    folder = convert(source).folder
    before = {p: p.stat().st_mtime_ns for p in (folder / "imagesTr").iterdir()}
    (folder / "dataset.json").unlink()
    (folder / "imagesTr/STS_003_0001.nii.gz").unlink()
    assert convert(source).failures == {}
    changed = {p.name for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {"STS_003_0000.nii.gz", "STS_003_0001.nii.gz"}
    assert verify_dataset(folder) == []


def test_a_patient_with_two_outcomes_is_refused(source: Path) -> None:
    table = pd.read_excel(source / sts_tcia.TABLE)
    table.loc[5] = ["STS_001", 50, "Local recurrence"]
    table.to_csv(source / "table.csv", index=False)
    with pytest.raises(UserError, match="Patient ID STS_001 has more than one Outcome"):
        convert(source, clinical=source / "table.csv")
