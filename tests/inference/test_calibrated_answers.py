"""Through the command: calibrated probabilities, sets, sources of spread, lesions, refusals."""

import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.calibration import read_calibration, scaled
from reactkd_auto.fingerprint import Fingerprint, write_fingerprint
from reactkd_auto.inference.command import main
from reactkd_auto.inference.evaluate_command import main as evaluate
from tests.inference.conftest import LESION_CENTRES_MM, ORIGIN, measured_case, plan_for_tests, write_cohort, write_model


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model with a fingerprint, two CTs with regions, and what the command says of them."""
    root = tmp_path_factory.mktemp("calibrated")
    model = write_model(root / "model", plan_for_tests()).path
    write_fingerprint(model, Fingerprint("Dataset001_Small", tuple(measured_case(i) for i in range(6))))
    images, regions = write_cohort(root)
    assert main(["-i", str(images), "-o", str(root / "out"), "-m", str(model), "-r", str(regions)]) == 0
    return root


def predict(root, out, *, model=None, images=None, regions=None):
    arguments = ["-i", str(images or root / "in"), "-o", str(out), "-m", str(model or root / "model")]
    assert main([*arguments, "-r", str(regions or root / "regions"), "--no_explanation"]) == 0
    return rows_of(out / "predictions.csv")


def test_probabilities_are_the_scaled_average_and_the_set_is_the_calibrations(folders):
    calibration = read_calibration(folders / "model")
    for row in rows_of(folders / "out" / "predictions.csv"):
        raw = np.array([float(row[f"uncalibrated_p_{c}"]) for c in calibration.classes])
        shown = [float(row[f"p_{c}"]) for c in calibration.classes]
        np.testing.assert_allclose(shown, scaled(raw, calibration.temperature), atol=2e-6)
        assert np.argmax(shown) == np.argmax(raw)
        assert row["prediction_set"].split("|") == list(calibration.set_of(raw))
        assert row["set_coverage"] == "0.9"


def test_noise_stands_beside_what_training_saw_and_a_warning_where_it_cannot_be_told(folders):
    for row in rows_of(folders / "out" / "predictions.csv"):
        assert (row["noise_hu"], row["noise_trained_low_hu"], row["noise_trained_high_hu"]) == ("", "8.0", "8.0")
        assert "Noise can't be measured" in row["warnings"]


def test_spread_of_folds_and_flips_add_up(folders):
    for row in rows_of(folders / "out" / "predictions.csv"):
        total, folds, flips = (float(row[k]) for k in ("uncertainty_std", "std_folds", "std_flips"))
        assert folds > 0
        assert flips > 0
        assert total**2 == pytest.approx(folds**2 + flips**2, abs=1e-6)
        assert 0 <= float(row["mutual_information"]) <= float(row["entropy"]) <= 1


def test_one_fold_has_no_spread_of_folds(folders, tmp_path):
    arguments = ["-i", str(folders / "in"), "-o", str(tmp_path), "-m", str(folders / "model"), "-f", "0"]
    assert main([*arguments, "-r", str(folders / "regions"), "--no_explanation"]) == 0
    for row in rows_of(tmp_path / "predictions.csv"):
        assert float(row["std_folds"]) == 0
        assert row["std_flips"] == row["uncertainty_std"]


def test_each_lesion_has_a_row_with_its_place_in_the_ct(folders):
    rows = rows_of(folders / "out" / "lesions.csv")
    assert [(r["case"], r["lesion"]) for r in rows] == [(c, f"lesion_{i}") for c in "ab" for i in (1, 2)]
    for row in rows:
        centre = LESION_CENTRES_MM[int(row["lesion"][-1]) - 1]
        found = [float(row[k]) for k in ("z_mm", "y_mm", "x_mm")]
        np.testing.assert_allclose(found, np.add(centre, ORIGIN[::-1]), atol=1.5)
        assert float(row["p_low"]) + float(row["p_high"]) == pytest.approx(1, abs=1e-5)
        assert row["grade"] == max(("low", "high"), key=lambda c: float(row[f"p_{c}"]))


def test_a_lesion_that_stands_alone_has_the_cases_probabilities(folders, tmp_path):
    regions = tmp_path / "regions"
    regions.mkdir()
    for path in (folders / "regions").iterdir():
        labels = sitk.ReadImage(str(path))
        parts = sitk.RelabelComponent(sitk.ConnectedComponent(labels == 2))
        sitk.WriteImage(
            sitk.Cast(labels, sitk.sitkUInt8) - sitk.Cast(parts == 2, sitk.sitkUInt8), str(regions / path.name)
        )
    cases = predict(folders, tmp_path / "out", regions=regions)
    lesions = rows_of(tmp_path / "out" / "lesions.csv")
    assert [r["lesion"] for r in lesions] == ["lesion_1", "lesion_1"]
    for case, lesion in zip(cases, lesions, strict=True):
        assert float(lesion["attention"]) == pytest.approx(1)
        assert float(lesion["p_high"]) == pytest.approx(float(case["p_high"]), abs=1e-5)


def test_a_model_without_calibration_says_so(folders, tmp_path):
    model = shutil.copytree(folders / "model", tmp_path / "model")
    (model / "calibration.json").unlink()
    for row in predict(folders, tmp_path / "out", model=model):
        assert "no calibration.json" in row["warnings"]
        assert (row["prediction_set"], row["set_coverage"]) == ("", "")
        assert row["p_high"] == row["uncalibrated_p_high"]


def test_another_calibration_answers_finished_cases_again(folders, tmp_path):
    model = shutil.copytree(folders / "model", tmp_path / "model")
    first = predict(folders, tmp_path / "out", model=model)
    path = model / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "temperature": 7.0}))
    second = predict(folders, tmp_path / "out", model=model)
    assert [r["uncalibrated_p_high"] for r in first] == [r["uncalibrated_p_high"] for r in second]
    assert all(a["p_high"] != b["p_high"] for a, b in zip(first, second, strict=True))


def test_the_evaluation_of_these_tables_shows_both_kinds_of_probabilities_and_the_sets(folders, tmp_path):
    (tmp_path / "labels.csv").write_text("case,label\na,low\nb,high\n")
    table = folders / "out" / "predictions.csv"
    assert evaluate(["-p", str(table), "-l", str(tmp_path / "labels.csv"), "-o", str(tmp_path / "evaluation")]) == 0
    page = (tmp_path / "evaluation" / "evaluation.html").read_text()
    assert "Before and after calibration" in page
    assert "Prediction sets" in page


def test_a_calibration_of_other_classes_is_refused(folders, tmp_path, capsys):
    model = shutil.copytree(folders / "model", tmp_path / "model")
    path = model / "calibration.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "classes": ["benign", "malignant"]}))
    arguments = ["-i", str(folders / "in"), "-o", str(tmp_path / "out"), "-m", str(model)]
    assert main(arguments) == 2
    assert "calibration.json" in capsys.readouterr().err


def test_an_image_unlike_the_cohort_is_not_classified_and_the_others_are(folders, tmp_path):
    images = shutil.copytree(folders / "in", tmp_path / "in")
    ct = sitk.ReadImage(str(images / "b.nii.gz"))
    array = np.random.default_rng(0).permutation(sitk.GetArrayFromImage(ct).ravel()).reshape(ct.GetSize()[::-1])
    mixed = sitk.GetImageFromArray(array)
    mixed.CopyInformation(ct)
    sitk.WriteImage(mixed, str(images / "b.nii.gz"))
    a, b = predict(folders, tmp_path / "out", images=images)
    assert a["status"] == "classified"
    assert (b["status"], b["predicted_class"], b["p_high"], b["prediction_set"]) == ("not classified", "", "", "")
    assert "most similar training case" in b["reason"]
    told = json.loads((tmp_path / "out" / "predictions.json").read_text())["cases"][1]
    assert told["reason"] == b["reason"]
