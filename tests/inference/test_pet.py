"""A model that accepts a PET: used where it lies beside the CT, missed by nobody where it does not."""

import csv
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.inference.command import main
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.networks import build_student, save_weights
from tests.builders import small_dataset, with_opinions
from tests.dicom_writing import make_series, write_series
from tests.inference.conftest import plan_for_tests, simulated_ct, write_model


@pytest.fixture(scope="module")
def pet_model(tmp_path_factory) -> ModelFolder:
    plan = plan_for_tests()
    model = write_model(tmp_path_factory.mktemp("pet_model"), plan, folds=1)
    model.write_config(ModelConfig("auto", ("CT", "FDG"), 0))
    save_weights(model.student_weights(0), with_opinions(build_student(plan, small_dataset(), ("CT", "FDG"))))
    return model


def _series(folder: Path, *, pet: bool, **changes: object) -> tuple[Path, Path]:
    ct, labels = simulated_ct(0)
    values = sitk.GetArrayFromImage(ct)
    place = {"spacing": ct.GetSpacing()[::-1], "origin": ct.GetOrigin()}
    write_series(folder / "in" / "ct", make_series(values, **place))
    if pet:
        activity = np.abs(values) * 20 + 100
        write_series(folder / "in" / "pt", make_series(activity, "PT", series="pet", **place, **changes))
    sitk.WriteImage(labels, str(folder / "regions.nii.gz"))
    return folder / "in", folder / "regions.nii.gz"


def _row(images: Path, regions: Path, output: Path, model: ModelFolder) -> dict[str, str]:
    options = ("-i", images, "-r", regions, "-o", output, "-m", model.path, "--device", "cpu", "--quiet")
    assert main([*map(str, options), "--no_explanation"]) == 0
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return row


def test_a_pet_of_the_same_frame_is_used_and_its_absence_is_normal(pet_model, tmp_path):
    rows = {
        pet: _row(*_series(tmp_path / str(pet), pet=pet), tmp_path / f"out{pet}", pet_model) for pet in (True, False)
    }
    assert [rows[pet]["status"] for pet in (True, False)] == ["classified", "classified"]
    assert rows[True]["p_low"] != rows[False]["p_low"]
    assert rows[False]["warnings"] == ""


def test_a_dicom_pet_answers_as_its_suv_image_does(pet_model, tmp_path):
    from reactkd_auto.imageio import read_image

    images, regions = _series(tmp_path, pet=True)
    (tmp_path / "nifti").mkdir()
    sitk.WriteImage(read_image(images / "ct"), str(tmp_path / "nifti" / "a_0000.nii.gz"))
    sitk.WriteImage(read_image(images / "pt"), str(tmp_path / "nifti" / "a_0001.nii.gz"))
    dicom = _row(images, regions, tmp_path / "one", pet_model)
    nifti = _row(tmp_path / "nifti", regions, tmp_path / "two", pet_model)
    assert float(dicom["p_low"]) == pytest.approx(float(nifti["p_low"]), abs=1e-5)


def test_a_pet_that_cannot_be_used_is_left_out_with_a_sentence(pet_model, tmp_path):
    row = _row(*_series(tmp_path / "a", pet=True, PatientWeight=None), tmp_path / "out", pet_model)
    without = _row(*_series(tmp_path / "b", pet=False), tmp_path / "without", pet_model)
    assert row["p_low"] == without["p_low"]
    assert "FDG is left out" in row["warnings"]
    assert "PatientWeight" in row["warnings"]
    assert str(tmp_path) not in row["warnings"]
