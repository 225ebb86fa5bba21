"""Public NIfTI cohorts in their own layouts: clean datasets, bad cases named, resumable, bytes unchanged."""

import gzip
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.dataset_conversion import autopet, hecktor, lits
from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.verify import check_dataset, verify_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.imageio import write_image
from tests.dataset_conversion.cohorts import as_image, pet
from tests.dataset_conversion.public_layouts import (
    FDG_CASES,
    PSMA_CASES,
    STUDIES,
    write_autopet_challenge,
    write_autopet_tcia,
    write_csv,
    write_hecktor_2022,
    write_hecktor_2025,
    write_lits,
)
from tests.pipeline import SCRIPTS

Converter = Callable[..., Conversion]
COHORTS: list[tuple[Callable[[Path], Path], ModuleType, str, str]] = [
    (write_lits, lits, "Training Batch 2/volume-28.nii", "LiTS_028"),
    (write_hecktor_2022, hecktor, "imagesTr/MDA-001__CT.nii.gz", "MDA-001"),
    (write_hecktor_2025, hecktor, "MDA-001/MDA-001__PT.nii.gz", "MDA-001"),
    (write_autopet_challenge, autopet, f"imagesTr/fdg_{list(STUDIES)[2]}_0001.nii.gz", FDG_CASES[2]),
    (
        write_autopet_tcia,
        autopet,
        f"FDG-PET-CT-Lesions/PETCT_{list(STUDIES)[2].replace('_', '/', 1)}/SUV.nii.gz",
        FDG_CASES[2],
    ),
]


def function_of(module: ModuleType) -> Converter:
    converter: Converter = getattr(module, f"convert_{module.__name__.rsplit('.', maxsplit=1)[-1]}")
    return converter


@pytest.fixture(params=COHORTS, ids=lambda c: c[0].__name__)
def cohort(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, ModuleType, Path, str]:
    """Source, converter, one of its files, the case it belongs to."""
    write, module, file, case = request.param
    source = write(tmp_path / "source")
    return source, module, source / file, case


def convert(source: Path, module: ModuleType, **options: object) -> Conversion:
    return function_of(module)(source, workspace=source.parent / "w", workers=1, quiet=True, **options)


def run(source: Path, module: ModuleType) -> int:
    arguments = ["-i", str(source), "-w", str(source.parent / "w"), "--quiet", "--workers", "1"]
    code: int = module.main(arguments)
    return code


def test_every_layout_becomes_a_clean_dataset(cohort: tuple[Path, ModuleType, Path, str]) -> None:
    source, module, *_ = cohort
    outcome = convert(source, module)
    assert outcome.failures == outcome.skipped == {}
    assert verify_dataset(outcome.folder) == []


def test_a_bad_case_is_named_the_others_finished_and_mended_later(
    cohort: tuple[Path, ModuleType, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, module, file, case = cohort
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    assert run(source, module) == 3
    said = capsys.readouterr().err
    assert f"  {case}: {file}: found" in said
    (folder,) = (source.parent / "w" / "raw").iterdir()
    dataset = read_dataset(folder)
    made = {r.case for r in read_labels(folder / "labelsTr.csv", dataset.classes)}
    assert made
    assert case not in made
    assert not list(folder.rglob(f"{case}*"))
    kept = {p: p.stat().st_mtime_ns for p in (folder / "imagesTr").iterdir()}
    file.write_bytes(good)
    assert run(source, module) == 0
    assert all(p.stat().st_mtime_ns == before for p, before in kept.items())
    assert {r.case for r in read_labels(folder / "labelsTr.csv", dataset.classes)} == made | {case}
    assert verify_dataset(folder) == []


def test_an_interrupted_conversion_goes_on_where_it_stopped(cohort: tuple[Path, ModuleType, Path, str]) -> None:
    source, module, _, case = cohort
    folder = convert(source, module).folder
    images = sorted((folder / "imagesTr").iterdir())
    before = {p: p.stat().st_mtime_ns for p in images}
    (folder / "dataset.json").unlink()  # what a killed process leaves: no document, a case without its base image
    (folder / "conversion" / f"{case}.json").unlink()
    (folder / "imagesTr" / f"{case}_0000.nii.gz").unlink()
    assert convert(source, module).failures == {}
    assert {p for p in images if p.stat().st_mtime_ns != before[p]} == {p for p in images if p.name.startswith(case)}
    assert verify_dataset(folder) == []


def test_a_killed_conversion_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    source = write_lits(tmp_path / "source", tuple(range(20)))
    whole = convert(source, lits).folder
    arguments = ["-i", str(source), "-w", str(tmp_path / "killed"), "--quiet", "--workers", "1"]
    process = subprocess.Popen([SCRIPTS / "reactkd_convert_lits", *arguments])
    folder = tmp_path / "killed/raw" / whole.name
    while not (folder / "conversion/LiTS_002.json").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "dataset.json").exists()
    assert lits.main(arguments) == 0
    assert verify_dataset(folder) == []
    for path in whole.rglob("*.nii.gz"):
        assert path.read_bytes() == (folder / path.relative_to(whole)).read_bytes()
    assert sorted(p.name for p in folder.rglob("*.nii.gz")) == sorted(p.name for p in whole.rglob("*.nii.gz"))


def test_all_cases_bad_is_exit_code_2_and_no_dataset(
    cohort: tuple[Path, ModuleType, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source, module, *_ = cohort
    for path in source.rglob("*.nii*"):
        path.write_bytes(b"")
    assert run(source, module) == 2
    assert "empty file" in capsys.readouterr().err
    assert not list((source.parent / "w").rglob("dataset.json"))


@pytest.mark.parametrize("module", [lits, hecktor, autopet])
def test_another_folder_is_one_sentence(module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").mkdir()
    assert run(tmp_path / "source", module) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "source") in said
    assert "expected" in said
    assert "Traceback" not in said


def test_lits_is_ungraded_with_liver_and_tumour_apart_and_its_bytes_unchanged(tmp_path: Path) -> None:
    source = write_lits(tmp_path / "source")
    folder = convert(source, lits, classes=["G1", "G2", "G3"]).folder
    dataset = read_dataset(folder)
    assert dataset.classes == ("G1", "G2", "G3")
    assert [(r.name, r.value, r.role) for r in dataset.regions] == [("liver", 1, "organ"), ("tumour", 2, "lesion")]
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert [(r.case, r.label) for r in rows] == [(f"LiTS_{n:03d}", None) for n in (0, 1, 28, 130)]
    for kind, target in (("volume", "imagesTr/LiTS_028_0000.nii.gz"), ("segmentation", "regionsTr/LiTS_028.nii.gz")):
        original = (source / "Training Batch 2" / f"{kind}-28.nii").read_bytes()
        assert gzip.decompress((folder / target).read_bytes()) == original
    assert "4 ungraded" in check_dataset(folder).summary[0]


def test_lits_tells_of_missing_and_doubled_segmentations(tmp_path: Path) -> None:
    source = write_lits(tmp_path / "source")
    mask = source / "Training Batch 1" / "segmentation-1.nii"
    other = source / "copy" / mask.name
    other.parent.mkdir()
    other.write_bytes(mask.read_bytes())
    with pytest.raises(UserError, match="segmentation 1 lies also at"):
        convert(source, lits)
    other.unlink()
    mask.unlink()
    outcome = convert(source, lits)
    assert list(outcome.failures) == ["LiTS_001"]
    assert "segmentation-1.nii: found no such file" in outcome.failures["LiTS_001"]


def test_hecktor_takes_relapse_or_hpv_status_as_its_classes(tmp_path: Path) -> None:
    source = write_hecktor_2022(tmp_path / "source")
    folder = convert(source, hecktor).folder
    dataset = read_dataset(folder)
    assert dataset.classes == ("no_relapse", "relapse")
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert {r.case: r.label for r in rows} == {
        "CHUM-001": 0, "CHUM-002": 1, "MDA-001": 0, "MDA-002": 1, "USZ-001": None,
    }  # fmt: skip
    name = "imagesTr/CHUM-001__PT.nii.gz"
    assert (folder / "imagesTr/CHUM-001_0001.nii.gz").read_bytes() == (source / name).read_bytes()
    hpv = convert(source, hecktor, label="hpv", id=2).folder
    rows = read_labels(hpv / "labelsTr.csv", ("hpv_negative", "hpv_positive"))
    assert [r.label for r in rows] == [0, 1, 0, 1, 0]


def test_hecktor_refuses_other_labels_grids_and_units(tmp_path: Path) -> None:
    source = write_hecktor_2022(tmp_path / "source")
    write_image(source / "labelsTr/CHUM-001.nii.gz", as_image(pet(0).astype("uint8") * 0, spacing=4))
    write_image(source / "imagesTr/CHUM-002__PT.nii.gz", as_image(pet(1) * 3000, spacing=4, shift=1))
    write_image(source / "imagesTr/MDA-002__PT.nii.gz", as_image(pet(1), spacing=4, shift=900))
    outcome = convert(source, hecktor)
    assert "the base image's grid" in outcome.failures["CHUM-001"]
    assert "Bq/ml or counts" in outcome.failures["CHUM-002"]
    assert "in one frame" in outcome.failures["MDA-002"]
    assert len(outcome.failures) == 3
    table = write_csv(source / "other.csv", "PatientID,Relapse", "CHUM-001,2")
    with pytest.raises(UserError, match="give it by name"):
        convert(source, hecktor)
    with pytest.raises(UserError, match="CHUM-001 has Relapse '2'"):
        convert(source, hecktor, labels=table)


@pytest.mark.parametrize("write", [write_autopet_challenge, write_autopet_tcia])
def test_autopet_has_a_channel_a_tracer_and_a_diagnosis_a_study(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    folder = convert(source, autopet).folder
    dataset = read_dataset(folder)
    both = write is write_autopet_challenge
    assert [c.name for c in dataset.channels] == (["CT", "FDG", "PSMA"] if both else ["CT", "FDG"])
    assert dataset.classes == ("lung_cancer", "negative")
    rows = read_labels(folder / "labelsTr.csv", dataset.classes)
    assert [r.case for r in rows] == FDG_CASES + (PSMA_CASES if both else [])
    assert [r.label for r in rows] == [0, 1, 0, 1] + ([None, None] if both else [])
    assert rows[2].patient == rows[3].patient == "fdg_0b57b247b6"
    files = {p.name for p in (folder / "imagesTr").iterdir()}
    assert f"{FDG_CASES[0]}_0001.nii.gz" in files
    if both:
        assert {n for n in files if n.startswith("psma")} == {f"{c}_000{i}.nii.gz" for c in PSMA_CASES for i in (0, 2)}


def test_autopet_takes_the_diagnoses_that_are_wanted_and_tells_a_missing_file(tmp_path: Path) -> None:
    source = write_autopet_tcia(tmp_path / "source")
    with pytest.raises(UserError, match="expected NEGATIVE, MELANOMA"):
        convert(source, autopet, classes=["NEGATIVE", "MELANOMA"])
    next(source.rglob("*93772/CTres.nii.gz")).unlink()
    outcome = convert(source, autopet, classes=["NEGATIVE", "LUNG_CANCER"])
    assert read_dataset(outcome.folder).classes == ("negative", "lung_cancer")
    assert list(outcome.failures) == [FDG_CASES[3]]
    assert "CTres.nii.gz: found no such file" in outcome.failures[FDG_CASES[3]]


def test_cases_read_where_they_lie_are_not_changed(cohort: tuple[Path, ModuleType, Path, str]) -> None:
    source, module, *_ = cohort
    before = {p: p.read_bytes() for p in source.rglob("*") if p.is_file()}
    convert(source, module)
    assert {p: p.read_bytes() for p in source.rglob("*") if p.is_file()} == before
