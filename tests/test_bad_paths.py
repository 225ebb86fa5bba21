"""A path that cannot be used is one sentence that names it and exit code 2, whichever command it is given to."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reactkd_auto.commands.demo import main as demo
from reactkd_auto.dataset import write_dataset
from reactkd_auto.dataset_conversion.demo_command import main as make_demo_dataset
from reactkd_auto.dataset_conversion.dicom.command import main as convert_dicom
from reactkd_auto.dataset_conversion.lidc import main as convert_lidc
from reactkd_auto.dataset_conversion.sts import main as convert_sts
from reactkd_auto.dataset_conversion.verify_command import main as verify_dataset
from reactkd_auto.inference.command import main as predict
from reactkd_auto.inference.evaluate_command import main as evaluate
from reactkd_auto.inference.export_command import main as export_model
from reactkd_auto.inference.install_command import main as install_model
from reactkd_auto.planning.degrade.command import main as degrade
from reactkd_auto.training.command import main as train
from tests.builders import small_dataset
from tests.inference.conftest import plan_for_tests, write_model

PREDICTIONS = "case,status,predicted_class,p_low,p_high\na,classified,low,0.9,0.1\nb,classified,high,0.2,0.8\n"
LABELS = "case,patient,label\na,a,low\nb,b,high\n"

Program = Callable[[list[str]], int]
Arguments = Callable[[Any, Path], list[object]]
"""Of one command, from what there is and the path that cannot be used."""

OUTPUTS: dict[str, tuple[Program, Arguments]] = {
    "predict -o": (predict, lambda f, bad: ["-m", f.model, "-i", f.images, "-o", bad, "--device", "cpu"]),
    "degrade -o": (degrade, lambda f, bad: ["-i", f.images, "-o", bad, "--device", "cpu"]),
    "evaluate -o": (evaluate, lambda f, bad: ["-p", f.predictions, "-l", f.labels, "-o", bad]),
    "evaluate -w -o": (
        evaluate,
        lambda f, bad: ["-w", f.workspace, "-m", f.model, "-o", bad, "--device", "cpu"],
    ),
    "export_model -o": (export_model, lambda f, bad: ["-m", f.model, "-o", bad / "x.zip"]),
    "install_model -o": (install_model, lambda f, bad: ["-i", f.zip, "-o", bad / "model"]),
    "make_demo_dataset -w": (make_demo_dataset, lambda _, bad: ["-w", bad]),
    "demo -w": (demo, lambda _, bad: ["-w", bad, "--device", "cpu"]),
    "convert_sts -w": (convert_sts, lambda f, bad: ["-i", f.sts, "-w", bad]),
    "convert_dicom -w": (
        convert_dicom,
        lambda f, bad: ["-i", f.images, "-l", f.labels, "--name", "A", "-w", bad],
    ),
}
FILES: dict[str, tuple[Program, Arguments]] = {
    "evaluate -p": (evaluate, lambda f, bad: ["-p", bad, "-l", f.labels, "-o", f.out]),
    "evaluate -l": (evaluate, lambda f, bad: ["-p", f.predictions, "-l", bad, "-o", f.out]),
    "evaluate --dataset_json": (
        evaluate,
        lambda f, bad: ["-p", f.predictions, "-l", f.labels, "-o", f.out, "--dataset_json", bad],
    ),
    "degrade --calibration": (degrade, lambda f, bad: ["-i", f.images, "-o", f.out, "--calibration", bad]),
    "install_model -i": (install_model, lambda f, bad: ["-i", bad, "-o", f.out]),
    "convert_dicom -l": (
        convert_dicom,
        lambda f, bad: ["-i", f.images, "-l", bad, "--name", "A", "-w", f.out],
    ),
}
FOLDERS: dict[str, tuple[Program, Arguments]] = {
    "predict -m": (predict, lambda f, bad: ["-m", bad, "-i", f.images, "-o", f.out]),
    "predict -i": (predict, lambda f, bad: ["-m", f.model, "-i", bad / "ct", "-o", f.out, "--device", "cpu"]),
    "convert_sts -i": (convert_sts, lambda f, bad: ["-i", bad, "-w", f.out]),
    "convert_lidc -i": (convert_lidc, lambda f, bad: ["-i", bad, "-w", f.out]),
    "convert_dicom -i": (convert_dicom, lambda f, bad: ["-i", bad, "-l", f.labels, "--name", "A", "-w", f.out]),
    "verify_dataset --folder": (verify_dataset, lambda _, bad: ["--folder", bad]),
    "train -w": (train, lambda _, bad: ["0", "-w", bad]),
}


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> SimpleNamespace:
    """What the commands need besides, and a file that is no folder."""
    folder = tmp_path_factory.mktemp("there")
    raw = folder / "workspace" / "raw" / "Dataset001_Small"
    found = SimpleNamespace(
        workspace=folder / "workspace",
        images=raw / "imagesTs",
        labels=raw / "labelsTs.csv",
        predictions=folder / "predictions.csv",
        model=write_model(folder / "model", plan_for_tests(), folds=1).path,
        zip=folder / "model.zip",
        sts=folder / "sts",
        file=folder / "a_file",
    )
    found.images.mkdir(parents=True)
    (found.images / "a_0000.nii.gz").touch()
    found.sts.mkdir()
    write_dataset(raw, small_dataset())
    found.labels.write_text(LABELS)
    found.predictions.write_text(PREDICTIONS)
    (found.sts / "labels.csv").write_text("patient,lung_metastasis\nSTS_001,1\n")
    found.file.touch()
    assert export_model(["-m", str(found.model), "-o", str(found.zip)]) == 0
    return found


@pytest.fixture
def unwritable(tmp_path) -> Iterator[Path]:
    """A folder that takes no file, of root neither."""
    folder = tmp_path / "unwritable"
    folder.mkdir(mode=0o555)
    if os.geteuid():
        yield folder
        return
    if subprocess.run(["chattr", "+i", folder], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no folder that root cannot write in")
    yield folder
    subprocess.run(["chattr", "-i", folder], check=True)


@pytest.fixture
def refuses(there, tmp_path, capsys) -> Callable[[tuple[Program, Arguments], Path], bool]:
    """Whether a command ends with exit code 2 and names the path."""
    there.out = tmp_path / "out"

    def refuses(command: tuple[Program, Arguments], bad: Path) -> bool:
        program, arguments = command
        code, printed = program([str(a) for a in arguments(there, bad)]), capsys.readouterr()
        return code == 2 and str(bad) in printed.out + printed.err

    return refuses


@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("below", ["", "below"])
def test_an_output_that_is_a_file_or_below_one(there, refuses, command, below):
    assert refuses(OUTPUTS[command], there.file / below)
    assert there.file.stat().st_size == 0


@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_cannot_be_written(refuses, unwritable, command):
    assert refuses(OUTPUTS[command], unwritable)
    assert list(unwritable.iterdir()) == []


@pytest.mark.parametrize("command", FILES)
def test_a_folder_where_a_file_is_expected(refuses, tmp_path, command):
    folder = tmp_path / "a_folder"
    folder.mkdir()
    assert refuses(FILES[command], folder)


@pytest.mark.parametrize("command", [*FILES, *FOLDERS])
def test_an_input_below_a_file(there, refuses, command):
    assert refuses((FILES | FOLDERS)[command], there.file / "below")


@pytest.mark.parametrize("command", FOLDERS)
def test_a_file_where_a_folder_is_expected(there, refuses, command):
    assert refuses(FOLDERS[command], there.file)
