"""What goes wrong in a hospital, through the command line: no case is lost, nothing is half-written, one sentence."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
import SimpleITK as sitk

from reactkd_auto.inference.command import main
from reactkd_auto.lock import locked
from tests.dicom_writing import NAME, make_series, write_series
from tests.inference.conftest import simulated_ct, write_cohort
from tests.pipeline import command, kill_when


def _options(images: Path, output: Path, model: object, *more: object) -> tuple[object, ...]:
    return ("-i", images, "-o", output, "-m", model.path, "--device", "cpu", "--quiet", *more)


def _predict(*arguments: object, expect: int = 0) -> None:
    """The command line in this process: starting one costs seconds, and only who is killed needs one of its own."""
    assert main([str(a) for a in _options(*arguments)]) == expect


def _rows(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _small_ct(seed: int) -> sitk.Image:
    return sitk.Cast(sitk.RegionOfInterest(simulated_ct(seed)[0], (12, 12, 8), (0, 14, 8)), sitk.sitkInt16)


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    """Three CT series; one slice of the second is cut off."""
    folder = tmp_path_factory.mktemp("series")
    for number in range(3):
        values = sitk.GetArrayFromImage(simulated_ct(number)[0])
        slices = make_series(values, series=f"s{number}", patient=f"P{number}", spacing=(2.5, 1.5, 1.5))
        write_series(folder / NAME / f"s{number}", slices)
    broken = folder / NAME / "s1" / "007.dcm"
    broken.write_bytes(broken.read_bytes()[:-100])
    return folder


def test_a_corrupt_series_in_the_middle_fails_alone_and_names_no_patient(model, series, tmp_path, capsys):
    _predict(series, tmp_path / "out", model, "--no_explanation", expect=3)
    rows = _rows(tmp_path / "out")
    assert sorted(r["status"] for r in rows) == ["failed", "not classified", "not classified"]
    (failed,) = (r for r in rows if r["status"] == "failed")
    assert "007.dcm" in failed["reason"]
    assert "1 failed" in capsys.readouterr().out
    for path in (tmp_path / "out").rglob("*"):
        assert "SECRET" not in path.name
        assert path.is_dir() or path.name == "run.json" or b"SECRET" not in path.read_bytes(), path.name


def test_a_zip_of_studies_is_answered_like_its_folder_and_leaves_no_copy(model, series, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "studies"), "zip", series)
    _predict(Path(archive), tmp_path / "zip", model, "--no_explanation", expect=3)
    _predict(series, tmp_path / "folder", model, "--no_explanation", expect=3)
    assert _rows(tmp_path / "zip") == _rows(tmp_path / "folder")
    assert not [p for p in (tmp_path / "zip").rglob("*") if p.suffix == ".dcm"]


def test_killed_and_repeated_gives_the_same_files(model, tmp_path):
    images, regions = write_cohort(tmp_path)
    for number in range(2, 4):
        shutil.copy(images / "b.nii.gz", images / f"b{number}.nii.gz")
        shutil.copy(regions / "b.nii.gz", regions / f"b{number}.nii.gz")
    more = ("-r", regions)
    cases = tmp_path / "killed" / "cases"
    assert kill_when(
        lambda: any(cases.glob("[!.]*.json")), "reactkd_predict", *_options(images, tmp_path / "killed", model, *more)
    )
    assert not (tmp_path / "killed" / "predictions.csv").exists()
    _predict(images, tmp_path / "killed", model, *more)
    _predict(images, tmp_path / "whole", model, *more)
    for path in sorted((tmp_path / "whole").rglob("*")):
        if path.is_file() and path.name not in ("run.json", ".lock"):
            other = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
            assert other.read_bytes() == path.read_bytes(), path.name
    assert not list((tmp_path / "killed").rglob(".tmp*"))


def test_a_full_disk_ends_with_one_sentence_and_goes_on_when_there_is_room(model, tmp_path):
    images, regions = write_cohort(tmp_path)
    options = _options(images, tmp_path / "out", model, "-r", regions)
    limited = ("bash", "-c", 'ulimit -f 4; trap "" XFSZ; exec "$0" "$@"', *command("reactkd_predict", *options))
    done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode in (2, 3)
    assert "could not be written" in done.stderr + done.stdout + "".join(
        p.read_text() for p in (tmp_path / "out").glob("cases/*.json")
    )
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").rglob(".tmp*"))
    _predict(images, tmp_path / "out", model, "-r", regions)
    assert [r["status"] for r in _rows(tmp_path / "out")] == ["classified", "classified"]


def test_two_processes_and_one_output_folder_are_refused(model, cohort, tmp_path, capsys):
    with locked(tmp_path / "out"):
        _predict(cohort[0], tmp_path / "out", model, expect=2)
    assert "another process is at work" in capsys.readouterr().err
    assert not (tmp_path / "out" / "predictions.csv").exists()


def test_input_that_may_not_be_written_is_left_as_it_was(model, cohort, tmp_path):
    images, regions = cohort
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in images.parent.rglob("*.nii.gz")}
    for folder in (images, regions):
        folder.chmod(0o555)
        for path in folder.iterdir():
            path.chmod(0o444)
    try:
        _predict(images, tmp_path / "out", model, "-r", regions, "--no_explanation")
    finally:
        for folder in (images, regions):
            folder.chmod(0o755)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before
    assert sorted(p.name for p in images.iterdir()) == ["a_0000.nii.gz", "b.nii.gz"]


def test_an_output_inside_the_input_is_not_taken_for_input(model, cohort, tmp_path, capsys):
    images, regions = cohort
    for _ in range(2):
        _predict(images, images / "out", model, "-r", regions)
        assert [r["case"] for r in _rows(images / "out")] == ["a", "b"]
    _predict(images, images, model, expect=2)
    assert "results would lie round the images" in capsys.readouterr().err


@pytest.mark.parametrize("wicked", ["../evil.nii", "link"])
def test_a_wicked_zip_is_one_sentence_and_leaves_nothing(model, tmp_path, capsys, wicked):
    import stat
    import zipfile

    entry = zipfile.ZipInfo(wicked)
    entry.create_system = 3
    entry.external_attr = ((stat.S_IFLNK if wicked == "link" else stat.S_IFREG) | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    _predict(tmp_path / "x.zip", tmp_path / "out", model, expect=2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert {p.name for p in tmp_path.rglob("*")} == {"x.zip", "out", ".lock"}


@pytest.mark.slow
def test_a_thousand_small_cases_one_of_them_corrupt_are_all_answered(model, tmp_path):
    images = tmp_path / "in"
    for number in range(1000):
        (images / f"day{number // 100}").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(_small_ct(number), str(images / f"day{number // 100}" / f"c{number:04d}.nii"))
    broken = images / "day5" / "c0500.nii"
    broken.write_bytes(broken.read_bytes()[:400])
    output = tmp_path / "out"
    assert kill_when(
        lambda: len(list(output.glob("cases/[!.]*.json"))) >= 300, "reactkd_predict", *_options(images, output, model)
    )
    _predict(images, output, model, expect=3)
    rows = _rows(output)
    assert [r["case"] for r in rows] == [f"day{n // 100}__c{n:04d}" for n in range(1000)]
    assert [r["case"] for r in rows if r["status"] == "failed"] == ["day5__c0500"]
