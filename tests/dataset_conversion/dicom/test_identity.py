"""Nothing that is written tells who a patient is, and no name in a header leads outside of the dataset."""

import gzip
from pathlib import Path

import pytest

from reactkd_auto.dataset_conversion.dicom.convert import convert_dicom
from reactkd_auto.errors import UserError
from tests.dataset_conversion.dicom.studies import PATIENTS, convert, ct_of, pet_of, write_labels
from tests.dicom_writing import BIRTH_DATE, uid, write_series


def test_nothing_that_is_written_tells_who_a_patient_is(tree: Path, labels: Path) -> None:
    (tree / "disc0/A0").rename(tree / "disc0/SECRET^NAME")
    write_series(tree / "disc0/SECRET^NAME/S2", pet_of(PATIENTS[0], CorrectedImage=["DECY"]))
    outcome = convert(tree, labels, skip_bad_channels=True)
    assert list(outcome.skipped) == ["case_0001, PET"]
    identities = ["SECRET", BIRTH_DATE, *PATIENTS, uid(PATIENTS[0], "study"), uid(PATIENTS[0], "frame")]
    for path in (p for p in outcome.folder.rglob("*") if p.is_file()):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert [i for i in identities if i.encode() in content or i in path.name] == []


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
