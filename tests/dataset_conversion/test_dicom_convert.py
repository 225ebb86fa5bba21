"""A tree of DICOM studies becomes a clean raw dataset without identities; bad patients are named, others finished."""

import csv
import gzip
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactkd_auto.dataset import LabelledCase, read_dataset, read_labels
from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.dicom import command
from reactkd_auto.dataset_conversion.dicom.choices import fits
from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from reactkd_auto.dataset_conversion.verify import verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import read_image
from tests.dicom_structures import write_segmentation, write_structures
from tests.dicom_writing import BIRTH_DATE, DOSE_BQ, WEIGHT_KG, activity, hounsfield, make_series, uid, write_series
from tests.pipeline import SCRIPTS

PATIENTS = ("MRN-771", "MRN-772", "MRN-773", "MRN-774")
PET_SPACING, PET_ORIGIN = (3.0, 3.0, 3.0), (-9.0, -19.0, 30.0)
SUV = 2 * 1000 * WEIGHT_KG / DOSE_BQ
Options = dict[str, object]


def values(seed: int) -> np.ndarray:
    return hounsfield(seed=seed)


def ct_of(patient: str, seed: int = 0, **changes: object) -> list:
    return make_series(values(seed), patient=patient, series="CT body", **changes)


def pet_of(patient: str, seed: int = 0, **changes: object) -> list:
    made = {"series": "PET AC", "spacing": PET_SPACING, "origin": PET_ORIGIN, "SeriesNumber": 4, **changes}
    return make_series(activity(6, (5, 5), seed), "PT", patient=patient, **made)


def square(z: float, half: float = 4.0) -> np.ndarray:
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    return np.array([(-3.0 + x, -12.0 + y, z) for x, y in corners])


def write_tree(root: Path) -> Path:
    """Four patients in folders of different nesting, with what lies in real studies besides."""
    for seed, patient in enumerate(PATIENTS):
        study = root / f"disc{seed % 2}" / f"A{seed}"
        ct, pet = ct_of(patient, seed), pet_of(patient, seed)
        write_series(study / "deep" / "er" / "S1", ct)
        write_series(study / "S2", pet)
        drawn = {"GTV_1": [square(33.0), square(36.0)], "Liver": [square(z, 6.0) for z in (33.0, 36.0, 39.0)]}
        write_structures(study / "RS" / "rs.dcm", ct[0], drawn)
        scout = make_series(values(9), patient=patient, series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        write_series(study / "S0", scout)
    (root / "readme.txt").write_text("no image")
    return root


def write_labels(path: Path, rows: dict[str, str], header: str = "patient,label") -> Path:
    path.write_text("\n".join([header, *(f"{p},{label}" for p, label in rows.items())]) + "\n")
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree")


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "labels.csv", dict(zip(PATIENTS, ("low", "high", "low", "high"), strict=True)))


def convert(tree: Path, labels: Path, **options: object) -> Conversion:
    chosen: Options = {"lesion": ["GTV*"], "organ": ["liver"], "workers": 1, "quiet": True, **options}
    return convert_dicom(tree, labels, "Cohort", workspace=tree.parent / "w", id=3, **chosen)  # type: ignore[arg-type]


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


def test_nothing_that_is_written_tells_who_a_patient_is(tree: Path, labels: Path) -> None:
    (tree / "disc0/A0").rename(tree / "disc0/SECRET^NAME")
    write_series(tree / "disc0/SECRET^NAME/S2", pet_of(PATIENTS[0], CorrectedImage=["DECY"]))
    outcome = convert(tree, labels, skip_bad_channels=True)
    assert list(outcome.skipped) == ["case_0001, PET"]
    identities = ["SECRET", BIRTH_DATE, *PATIENTS, uid(PATIENTS[0], "study"), uid(PATIENTS[0], "frame")]
    for path in (p for p in outcome.folder.rglob("*") if p.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert [i for i in identities if i.encode() in content or i in path.name] == []


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


def test_a_second_call_keeps_finished_cases_and_makes_changed_ones_anew(tree: Path, labels: Path) -> None:
    folder = convert(tree, labels).folder
    paths = sorted((folder / "imagesTr").iterdir())
    before = {p: p.stat().st_mtime_ns for p in paths}
    (folder / "imagesTr/case_0003_0001.nii.gz").unlink()
    (folder / "regionsTr/case_0004.nii.gz").unlink()
    write_series(tree / "disc1/A1/deep/er/S1", ct_of(PATIENTS[1], 77))
    (folder / "imagesTr" / f".tmp{os.getpid()}9999_x.nii.gz").write_text("left by a killed process")
    assert convert(tree, labels).failures == {}
    kept = {p.name for p in paths if p.stat().st_mtime_ns == before[p]}
    assert kept == {"case_0001_0000.nii.gz", "case_0001_0001.nii.gz"}
    assert (folder / "regionsTr/case_0004.nii.gz").exists()
    image = read_image(folder / "imagesTr/case_0002_0000.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), values(77))
    assert verify_dataset(folder) == []


def test_a_case_that_left_the_table_leaves_the_dataset(tree: Path, labels: Path) -> None:
    convert(tree, labels)
    write_labels(labels, {PATIENTS[0]: "low", PATIENTS[1]: "high", PATIENTS[2]: "low"})
    folder = convert(tree, labels).folder
    assert not list(folder.rglob("case_0004*"))


def test_other_options_need_another_dataset(tree: Path, labels: Path) -> None:
    convert(tree, labels)
    with pytest.raises(UserError, match="give another --id"):
        convert(tree, labels, lesion=["Liver"], organ=[])


def test_a_killed_conversion_goes_on_to_the_same_bytes(tree: Path, labels: Path) -> None:
    for seed in range(20):
        write_series(tree / "more" / str(seed), ct_of(f"more{seed}", 100 + seed))
    rows = {**dict(zip(PATIENTS, "abab", strict=True)), **{f"more{s}": "ab"[s % 2] for s in range(20)}}
    write_labels(labels, rows)
    whole = convert(tree, labels).folder
    arguments = ["-i", str(tree), "-l", str(labels), "-w", str(tree.parent / "killed"), "--name", "Cohort", "--id", "3"]
    arguments += ["--lesion", "GTV*", "--organ", "liver", "--workers", "1", "--quiet"]
    process = subprocess.Popen([SCRIPTS / "reactkd_convert_dicom", *arguments])
    folder = tree.parent / "killed/raw" / whole.name
    while not (folder / "conversion/case_0003.json").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "dataset.json").exists()
    assert command.main(arguments) == 0
    for name in ("imagesTr", "regionsTr", "labelsTr.csv", "dataset.json"):
        paths = [whole / name, *(whole / name).glob("*")] if (whole / name).is_dir() else [whole / name]
        for path in paths:
            other = folder / path.relative_to(whole)
            assert path.is_dir() or path.read_bytes() == other.read_bytes()
    assert len(list((folder / "imagesTr").glob("*"))) == len(list((whole / "imagesTr").glob("*")))


def test_two_processes_write_the_same_bytes_as_one(tree: Path, labels: Path, tmp_path: Path) -> None:
    one = convert(tree, labels).folder
    two = convert_dicom(
        tree, labels, "Cohort", workspace=tmp_path / "two", lesion=["GTV*"], organ=["liver"], workers=2, quiet=True
    ).folder
    for path in one.rglob("*.gz"):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()


def test_names_in_dicom_cannot_lead_outside_the_dataset(tmp_path: Path) -> None:
    evil = ("../../evil", "/etc/evil", "..")
    for seed, patient in enumerate(evil):
        write_series(tmp_path / "tree" / str(seed), ct_of(patient, seed, study="../../evil"))
    labels = write_labels(tmp_path / "labels.csv", dict(zip(evil, "aba", strict=True)))
    folder = convert(tmp_path / "tree", labels).folder
    assert sorted(p.name for p in folder.rglob("*.gz")) == [f"case_000{n}_0000.nii.gz" for n in (1, 2, 3)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "tree", "w"]
    with pytest.raises(UserError, match="letters, digits"):
        convert_dicom(tmp_path / "tree", labels, "../../evil", workspace=tmp_path / "w")
    write_labels(labels, {"../../evil": "../x,a"}, header="patient,case,label")
    with pytest.raises(UserError, match="letters, digits"):
        convert(tmp_path / "tree", labels)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "tree", "w"]


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


@pytest.mark.parametrize("refers", [True, False])
def test_structures_drawn_on_the_ct_go_before_those_of_its_frame(tree: Path, labels: Path, refers: bool) -> None:
    """Where those on the CT say so; else a second set of the same region is one too many."""
    ct, pet = ct_of(PATIENTS[0]), pet_of(PATIENTS[0])
    drawn = {"GTV": [square(33.0), square(36.0)]}
    write_structures(tree / "disc0/A0/RS/rs.dcm", ct[0], drawn, refers=refers)
    write_structures(tree / "disc0/A0/RS/on_pet.dcm", pet[0], {"GTV": [square(33.0)]}, series="on PET")
    failures = convert(tree, labels).failures
    assert failures == {} if refers else "region GTV also in" in failures["case_0001"]


def test_structures_that_name_no_series_are_taken_by_their_frame(tree: Path, labels: Path) -> None:
    drawn = {"GTV": [square(33.0), square(36.0)]}
    write_structures(tree / "disc0/A0/RS/rs.dcm", ct_of(PATIENTS[0])[0], drawn, refers=False)
    folder = convert(tree, labels).folder
    assert (folder / "regionsTr/case_0001.nii.gz").exists()


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


def test_segmentations_become_regions_and_lesions_cover_organs(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    liver, mass = rng.random((6, 8, 10)) < 0.5, rng.random((6, 8, 10)) < 0.2
    for patient in ("P1", "P2", "P3", "P4"):
        ct = ct_of(patient, ord(patient[1]))
        write_series(tmp_path / "tree" / patient / "ct", ct)
        write_segmentation(tmp_path / "tree" / patient / "seg.dcm", ct, {"Liver": liver, "Mass": mass})
    labels = write_labels(tmp_path / "labels.csv", dict(zip(("P1", "P2", "P3", "P4"), "abab", strict=True)))
    outcome = convert(tmp_path / "tree", labels, lesion=["tumour=mass"], organ=["liver"])
    regions = sitk.GetArrayFromImage(read_image(outcome.folder / "regionsTr/case_0001.nii.gz"))
    np.testing.assert_array_equal(regions, np.where(mass, 2, liver))
    assert verify_dataset(outcome.folder) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lesion": ["a=x", "b=y"], "organ": ["a=z"]}, "regions a, a, b: expected different names"),
        ({"pet": ["CT=*"]}, "channels CT, CT: expected different names"),
        ({"lesion": ["*"]}, "write NAME=PATTERN"),
        ({"mr": ["/x=T1"]}, "write NAME=PATTERN"),
        ({"pet": [f"P{i}=x" for i in range(9)]}, "10 channels, at most 8"),
        ({"classes": ["low", "high", "low"]}, "not unique"),
    ],
)
def test_options_that_make_no_dataset_are_refused(tree: Path, labels: Path, options: Options, words: str) -> None:
    with pytest.raises(UserError, match=words):
        convert(tree, labels, **options)


@pytest.mark.parametrize(
    ("pattern", "text", "fit"),
    [
        ("GTV*", "gtv_1", True),
        ("GTV", "GTV_1", False),
        ("t?", "T1", True),
        ("*[C11]*", "Choline [C11]", True),
        ("*[C11]*", "C", False),
    ],
)
def test_patterns_know_two_wildcards_and_no_capitals(pattern: str, text: str, fit: bool) -> None:
    assert fits(pattern, ["other", text]) is fit


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lesion": ["tumor*"], "organ": []}, "no drawn structure that fits tumor* among GTV_1, Liver"),
        ({"lesion": ["GTV*"], "organ": ["x=gtv_?"]}, "'GTV_1', which fits x and GTV"),
    ],
)
def test_structures_that_fit_none_or_two_regions_are_refused(
    tree: Path, labels: Path, options: Options, words: str
) -> None:
    assert words in convert(tree, labels, **options).failures["case_0001"]


def test_a_region_drawn_twice_is_refused(tree: Path, labels: Path) -> None:
    slices = ct_of(PATIENTS[0], 0)
    write_structures(tree / "disc0/A0/RS/rs2.dcm", slices[0], {"GTV": [square(36.0)]}, series="again")
    assert "region GTV also in rs.dcm" in convert(tree, labels).failures["case_0001"]


def test_a_patient_with_nothing_but_other_objects_is_told_so(tree: Path, labels: Path) -> None:
    enhanced = make_series(values(3), patient="MRN-775", SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1")
    write_series(tree / "enhanced", enhanced)
    labels.write_text(f"{labels.read_text()}MRN-775,low\n")
    sentence = convert(tree, labels).failures["case_0005"]
    assert "no DICOM series of this patient, only a multi-frame object (Enhanced CT Image Storage)" in sentence


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("patient\nP1\n", "column 'label' is missing"),
        ("patient,label\n,a\n", "line 2: no patient"),
        ("patient,label\nP1,a\nP1,b\n", "line 3: a patient and study of an earlier row"),
        ("patient,label\nP1,a\nP2,a\n", "labels a, expected at least two"),
        ("patient,case,label\nP1,x,a\nP2,x,b\n", "case 'x' stands in more than one row"),
    ],
)
def test_a_table_with_a_fault_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        convert(tmp_path / "tree", tmp_path / "labels.csv")


def test_classes_may_be_ordered_and_cases_named_by_the_table(tree: Path, labels: Path) -> None:
    lines = [f"{p},{c},{n}" for p, c, n in zip(PATIENTS, ("low", "high", "", "low"), ("w", "x", "y", "z"), strict=True)]
    labels.write_text("\n".join(["patient,label,case", *lines]) + "\n")
    outcome = convert(tree, labels, classes=["low", "high"], ordered=True)
    dataset = read_dataset(outcome.folder)
    assert dataset.classes == ("low", "high")
    assert dataset.classes_ordered
    assert [(r.case, r.label) for r in read_labels(outcome.folder / "labelsTr.csv", dataset.classes)] == [
        ("w", 0),
        ("x", 1),
        ("y", None),
        ("z", 0),
    ]
    with pytest.raises(UserError, match="unknown class 'high'"):
        convert(tree, labels, classes=["low", "medium"])


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
