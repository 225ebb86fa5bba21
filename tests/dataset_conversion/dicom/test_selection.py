"""Which series of a patient make a case: by study, pattern, structures and frame of reference."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.imageio import read_image
from tests.dataset_conversion.dicom.studies import PATIENTS, SUV, convert, ct_of, pet_of, square, values, write_labels
from tests.dicom_structures import write_structures
from tests.dicom_writing import activity, make_series, uid, write_series


def test_a_patient_with_two_studies_needs_the_study_in_the_table(tmp_path: Path) -> None:
    for number, date in enumerate(("20010203", "20020304")):
        slices = ct_of("P1", number, study=date, frame=date, StudyDate=date)
        write_series(tmp_path / "tree" / date, slices)
        write_series(tmp_path / "tree" / f"other{number}", ct_of(f"Q{number}", 5 + number))
    labels = write_labels(tmp_path / "labels.csv", {"P1": "a", "Q0": "a", "Q1": "b"})
    assert "2 series, number 1 (6 files)" in convert(tmp_path / "tree", labels).failures["case_0001"]
    lines = ["patient,study,label", "P1,20010203,a", f"P1,{uid('P1', '20020304')},b", "Q0,,a", "Q1,,b"]
    labels.write_text("\n".join(lines) + "\n")
    outcome = convert(tmp_path / "tree", labels)
    assert outcome.failures == {}
    rows = read_labels(outcome.folder / "labelsTr.csv", ("a", "b"))
    assert [(r.case, r.patient) for r in rows[:2]] == [("case_0001", "patient_0001"), ("case_0002", "patient_0001")]
    for number in (0, 1):
        image = read_image(outcome.folder / f"imagesTr/case_000{number + 1}_0000.nii.gz")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values(number))


def test_among_several_cts_the_one_drawn_on_or_chosen_is_the_base(tmp_path: Path) -> None:
    low = make_series(values(1), patient="P1", series="CT low dose")
    high = make_series(values(2), patient="P1", series="CT portal", frame="frame2")
    write_series(tmp_path / "tree/a", low)
    write_series(tmp_path / "tree/b", high)
    for name in ("Q0", "Q1"):
        write_series(tmp_path / "tree" / name, ct_of(name, ord(name[1])))
    labels = write_labels(tmp_path / "labels.csv", {"P1": "a", "Q0": "a", "Q1": "b"})
    assert "choose with --ct" in convert(tmp_path / "tree", labels).failures["case_0001"]

    def base(**options: object) -> np.ndarray:
        folder = convert(tmp_path / "tree", labels, **options).folder
        return sitk.GetArrayFromImage(read_image(folder / "imagesTr/case_0001_0000.nii.gz"))

    write_structures(tmp_path / "tree/rs.dcm", high[0], {"GTV": [square(33.0), square(36.0)]})
    np.testing.assert_array_equal(base(), values(2))
    (tmp_path / "tree/rs.dcm").unlink()
    write_series(tmp_path / "tree/pet", pet_of("P1"))
    np.testing.assert_array_equal(base(), values(1))


@pytest.mark.parametrize(("pattern", "seed"), [("*PORTAL*", 2), ("ct low*", 1)])
def test_a_pattern_chooses_the_ct(tmp_path: Path, pattern: str, seed: int) -> None:
    for number, series in enumerate(("CT low dose", "CT portal"), start=1):
        write_series(tmp_path / "tree" / series, make_series(values(number), patient="P1", series=series))
        write_series(tmp_path / f"tree/Q{number}", make_series(values(5 + number), patient=f"Q{number}", series=series))
    labels = write_labels(tmp_path / "labels.csv", {"P1": "a", f"Q{seed}": "b"})
    folder = convert(tmp_path / "tree", labels, ct=pattern).folder
    image = read_image(folder / "imagesTr/case_0001_0000.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values(seed))


def test_two_tracers_and_an_mr_become_channels_by_pattern(tmp_path: Path) -> None:
    for seed, patient in enumerate(("P1", "P2", "P3", "P4")):
        root = tmp_path / "tree" / patient
        write_series(root / "ct", ct_of(patient, seed))
        choline = pet_of(patient, 10 + seed, series="second")
        for made in choline:
            made.RadiopharmaceuticalInformationSequence[0].Radiopharmaceutical = "Choline C11"
        write_series(root / "fdg", pet_of(patient, seed, series="first"))
        write_series(root / "fdg_nac", pet_of(patient, 20 + seed, series="first raw", CorrectedImage=["DECY"]))
        write_series(root / "cho", choline)
        write_series(root / "mr", make_series(100 + values(seed), "MR", patient=patient, series="T1 tra"))
    labels = write_labels(tmp_path / "labels.csv", dict(zip(("P1", "P2", "P3", "P4"), "abab", strict=True)))
    assert "could be meant" in convert(tmp_path / "tree", labels).failures["case_0001"]
    labels.rename(tmp_path / "tree.csv")
    outcome = convert_dicom(
        tmp_path / "tree", tmp_path / "tree.csv", "Dual", workspace=tmp_path / "w", pet=["FDG=fdg", "CHO=choline*"],
        mr=["T1=T1*"], workers=1, quiet=True,
    )  # fmt: skip
    assert outcome.failures == {}
    assert [c.name for c in read_dataset(outcome.folder).channels] == ["CT", "FDG", "CHO", "T1"]
    for channel, expected in (
        (1, activity(6, (5, 5), 0) * SUV),
        (2, activity(6, (5, 5), 10) * SUV),
        (3, 100 + values(0)),
    ):
        image = read_image(outcome.folder / f"imagesTr/case_0001_000{channel}.nii.gz")
        np.testing.assert_allclose(sitk.GetArrayFromImage(image), expected, rtol=2e-3)
    assert verify_dataset(outcome.folder) == []


def test_a_pet_in_another_frame_of_reference_is_not_taken_for_aligned(tree: Path, labels: Path) -> None:
    write_series(tree / "disc0/A0/S2", pet_of(PATIENTS[0], frame="another session"))
    assert "another frame of reference" in convert(tree, labels).failures["case_0001"]


def test_a_pet_that_does_not_meet_the_ct_is_refused(tree: Path, labels: Path) -> None:
    write_series(tree / "disc0/A0/S2", pet_of(PATIENTS[0], origin=(500.0, 0.0, 0.0)))
    assert "covers 0 % of the CT" in convert(tree, labels).failures["case_0001"]


def test_a_patient_with_nothing_but_other_objects_is_told_so(tree: Path, labels: Path) -> None:
    enhanced = make_series(values(3), patient="MRN-775", SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    write_series(tree / "enhanced", enhanced)
    labels.write_text(f"{labels.read_text()}MRN-775,low\n")
    sentence = convert(tree, labels).failures["case_0005"]
    assert "no DICOM series of this patient, only a multi-frame object (Enhanced CT Image Storage)" in sentence
