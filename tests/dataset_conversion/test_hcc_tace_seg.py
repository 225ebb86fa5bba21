"""HCC-TACE-Seg in TCIA's layout: four segments are four regions, the portal venous phase is the CT."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion import hcc_tace_seg
from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import read_image
from tests.dicom_structures import write_segmentation
from tests.dicom_writing import hounsfield, make_series, uid, write_series

PATIENTS = ("HCC_001", "HCC_002", "HCC_003", "HCC_004")
ENHANCEMENT_HU = {"arterial": (60, 300), "portal": (180, 160), "late": (120, 130)}
"""Portal vein, aorta."""


def segments() -> dict[str, np.ndarray]:
    masks = {name: np.zeros((6, 8, 10), bool) for name in ("Liver", "Mass", "Portal vein", "Abdominal aorta")}
    masks["Liver"][1:5, 3:8, 1:7] = True
    masks["Mass"][2:4, 4:6, 2:4] = True
    masks["Portal vein"][1:5, 5:7, 3:6] = True
    masks["Abdominal aorta"][:, 6:8, 8:10] = True
    return masks


def phase(seed: int, name: str) -> np.ndarray:
    values, masks = hounsfield(seed=seed), segments()
    values[masks["Portal vein"]], values[masks["Abdominal aorta"]] = ENHANCEMENT_HU[name]
    return values


def write_patient(root: Path, patient: str, seed: int, phases: Iterable[str] = ENHANCEMENT_HU) -> list:
    """One series before treatment with all phases at the same positions and a SEG on it, one CT after treatment."""
    slices = []
    for number, name in enumerate(phases, start=1):
        made = make_series(
            phase(10 * seed + number, name), patient=patient, study="before", series="LIVER 3 PHASE",
            AcquisitionNumber=number,
        )  # fmt: skip
        for index, each in enumerate(made):
            each.SOPInstanceUID = each.file_meta.MediaStorageSOPInstanceUID = uid(patient, name, index)
        slices += made
    study = root / patient / "04-21-2000-NA-CT ABDOMEN-10001"
    write_series(study / "102.000000-LIVER 3 PHASE-90001", slices)
    write_segmentation(study / "300.000000-Segmentation-99942" / "1-1.dcm", slices[:6], segments())
    after = make_series(hounsfield(seed=100 + seed), patient=patient, study="after", series="LIVER", frame="other")
    write_series(root / patient / "09-01-2000-NA-CT ABDOMEN-20002" / "2.000000-LIVER-80001", after)
    return slices


def write_table(root: Path, stages: dict[str, str | None]) -> Path:
    path = root / hcc_tace_seg.TABLE
    columns = {"TCIA_ID": list(stages), "age": [60.5] * len(stages), "BCLC": list(stages.values())}
    pd.DataFrame(columns).to_excel(path, sheet_name="data table", index=False)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for seed, patient in enumerate(PATIENTS):
        write_patient(root, patient, seed)
    write_table(root, dict(zip(PATIENTS, ("Stage-A", "Stage-B", "Stage-A", "Stage-B"), strict=True)))
    (root / "LICENSE").write_text("text")
    return root


def convert(source: Path, **options: object) -> Conversion:
    options = {"workspace": source.parent / "w", "workers": 1, "quiet": True, **options}
    return hcc_tace_seg.convert_hcc_tace_seg(source, **options)  # type: ignore[arg-type]


def run(source: Path) -> int:
    return hcc_tace_seg.main(["-i", str(source), "-w", str(source.parent / "w"), "--quiet", "--workers", "1"])


def values(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_image(path))


def test_each_segment_is_its_own_region_and_the_ct_is_the_portal_venous_phase(source: Path) -> None:
    outcome = convert(source)
    assert outcome.failures == outcome.skipped == {}
    assert verify_dataset(outcome.folder) == []
    dataset = read_dataset(outcome.folder)
    assert {r.name: (r.value, r.role) for r in dataset.regions} == {
        "liver": (1, "organ"), "portal_vein": (2, "context"), "aorta": (3, "context"), "mass": (4, "lesion"),
    }  # fmt: skip
    masks = segments()
    expected = np.zeros((6, 8, 10))
    for value, name in enumerate(("Liver", "Portal vein", "Abdominal aorta", "Mass"), start=1):
        expected[masks[name]] = value
    for seed, patient in enumerate(PATIENTS):
        np.testing.assert_array_equal(
            values(outcome.folder / f"imagesTr/{patient}_0000.nii.gz"), phase(10 * seed + 2, "portal")
        )
        np.testing.assert_array_equal(values(outcome.folder / f"regionsTr/{patient}.nii.gz"), expected)
    rows = read_labels(outcome.folder / "labelsTr.csv", dataset.classes)
    assert dataset.classes == ("stage_a", "stage_b")
    assert [(r.case, r.label) for r in rows] == list(zip(PATIENTS, (0, 1, 0, 1), strict=True))


def test_classes_may_be_chosen_and_ordered_and_the_rest_is_ungraded(source: Path) -> None:
    table = write_table(source, dict(zip(PATIENTS, ("Stage-C", "Stage-A", None, "Stage-D"), strict=True)))
    folder = convert(source, classes=["Stage-C", "Stage-A"]).folder
    dataset = read_dataset(folder)
    assert dataset.classes_ordered
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert [r.label for r in rows] == [0, 1, None, None]
    with pytest.raises(UserError, match=f"{table.name}: columns TCIA_ID, age, BCLC, expected one called 'TNM'"):
        convert(source, label="TNM")
    with pytest.raises(UserError, match="expected Stage-A, Stage-X"):
        convert(source, classes=["Stage-A", "Stage-X"])


def test_bad_patients_are_named_the_others_finished_and_mended_later(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_excel(source / hcc_tace_seg.TABLE)
    extra = pd.DataFrame({"TCIA_ID": ["HCC_099", "HCC_005"], "age": [1, 2], "BCLC": ["Stage-A", "Stage-B"]})
    pd.concat([table, extra]).to_excel(source / hcc_tace_seg.TABLE, index=False)
    write_patient(source, "HCC_005", 5, ["portal"])
    (series,) = (source / "HCC_001").glob("*/*3 PHASE*")
    (series / "008.dcm").rename(source.parent / "away")  # of the portal phase; the others are whole
    assert run(source) == 3
    said = capsys.readouterr().err
    assert "2 of 6 cases could not be made" in said
    assert "HCC_001: " in said
    assert "missing slices" in said
    assert "patient HCC_099: no DICOM series of this patient" in said
    folder = source.parent / "w/raw/Dataset001_HCC_TACE_Seg"
    kept = {p: p.stat().st_mtime_ns for p in (folder / "imagesTr").iterdir()}
    assert {p.name for p in kept} == {f"HCC_00{n}_0000.nii.gz" for n in (2, 3, 4, 5)}
    np.testing.assert_array_equal(values(folder / "imagesTr/HCC_005_0000.nii.gz"), phase(51, "portal"))
    (source.parent / "away").rename(series / "008.dcm")
    assert run(source) == 3
    assert "1 of 6 cases" in capsys.readouterr().err
    np.testing.assert_array_equal(values(folder / "imagesTr/HCC_001_0000.nii.gz"), phase(2, "portal"))
    assert all(p.stat().st_mtime_ns == before for p, before in kept.items())
    assert verify_dataset(folder) == []


def test_of_phases_on_different_slices_the_one_that_was_drawn_on_is_taken(source: Path) -> None:
    (series,) = (source / "HCC_001").glob("*/*3 PHASE*")
    moved = make_series(
        phase(7, "portal"), patient="HCC_001", study="before", series="LIVER 3 PHASE", origin=(-10.0, -20.0, 31.5),
        AcquisitionNumber=2,
    )  # fmt: skip
    for index, made in enumerate(moved):
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid("moved", index)
        made.save_as(series / f"{6 + index:03d}.dcm", enforce_file_format=True)
    folder = convert(source).folder
    np.testing.assert_array_equal(values(folder / "imagesTr/HCC_001_0000.nii.gz"), phase(3, "late"))


def test_phases_that_nothing_tells_apart_are_refused(source: Path) -> None:
    (series,) = (source / "HCC_001").glob("*/*3 PHASE*")
    slices = make_series(phase(2, "portal"), patient="HCC_001", study="before", series="LIVER 3 PHASE")
    write_series(series, slices * 3)
    for index, path in enumerate(sorted(series.iterdir())):
        made = slices[index % 6]
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid("again", index)
        made.save_as(path, enforce_file_format=True)
    only = {k: v for k, v in segments().items() if k in ("Liver", "Mass")}
    (segmentation,) = (source / "HCC_002").glob("*/*Segmentation*")
    write_segmentation(segmentation / "1-1.dcm", make_series(phase(1, "late"), patient="HCC_002", study="before",
                       series="LIVER 3 PHASE"), only)  # fmt: skip
    failures = convert(source).failures
    assert sorted(failures) == ["HCC_001", "HCC_002"]
    assert "duplicated slices" in failures["HCC_001"]
    assert "no segments of portal vein and aorta" in failures["HCC_002"]


def test_an_interrupted_conversion_goes_on_where_it_stopped(source: Path) -> None:
    folder = convert(source).folder
    before = {p: p.stat().st_mtime_ns for p in (folder / "imagesTr").iterdir()}
    (folder / "dataset.json").unlink()
    (folder / "imagesTr/HCC_003_0000.nii.gz").unlink()
    assert convert(source).failures == {}
    changed = {p.name for p, time in before.items() if p.stat().st_mtime_ns != time}
    assert changed == {"HCC_003_0000.nii.gz"}
    assert verify_dataset(folder) == []


def test_a_missing_or_damaged_table_is_one_sentence(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = source / hcc_tace_seg.TABLE
    table.write_bytes(table.read_bytes()[:100])
    assert run(source) == 2
    assert "damaged Excel file" in capsys.readouterr().err
    table.unlink()
    assert run(source) == 2
    assert f"{table}: file not found" in capsys.readouterr().err
