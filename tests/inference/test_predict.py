"""`reactkd_predict` from files to files, with random weights."""

import csv
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.imageio import read_image, to_canonical
from reactkd_auto.inference.command import main
from reactkd_auto.jsonio import read_json, write_json
from reactkd_auto.preprocessing.supervoxels import supervoxel_map, supervoxel_regions
from tests.builders import small_dataset
from tests.inference.conftest import LESION_CENTRES_MM, ORIGIN, plan_for_tests, write_cohort, write_model

IMAGES = ("explanation", "uncertainty", "attention", "regions")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _predict(images: Path, output: Path, model: object, *more: object) -> int:
    arguments = ["-i", images, "-o", output, "-m", getattr(model, "path", model), "--device", "cpu", "--quiet", *more]
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """One whole run with drawn regions: (input, regions, output)."""
    folder = tmp_path_factory.mktemp("run")
    images, regions = write_cohort(folder)
    assert _predict(images, folder / "out", model, "-r", regions) == 0
    return images, regions, folder / "out"


def test_every_case_is_answered_with_probabilities_that_sum_to_one(finished):
    rows = _rows(finished[2] / "predictions.csv")
    assert [(r["case"], r["status"], r["regions_from"]) for r in rows] == [
        ("a", "classified", "region maps"),
        ("b", "classified", "region maps"),
    ]
    for row in rows:
        probabilities = {c: float(row[f"p_{c}"]) for c in ("low", "high")}
        assert sum(probabilities.values()) == pytest.approx(1.0, abs=2e-6)
        assert row["predicted_class"] == max(probabilities, key=probabilities.get)
        assert float(row["uncertainty_std"]) > 0
        assert row["members"] == "4"  # two folds, one mirror axis


def test_images_lie_in_the_geometry_of_each_ct_file(finished):
    images, _, output = finished
    for case, file in (("a", "a_0000"), ("b", "b")):
        ct = sitk.ReadImage(str(images / f"{file}.nii.gz"))
        for kind in IMAGES:
            image = sitk.ReadImage(str(output / "explanation" / f"{case}_{kind}.nii.gz"))
            assert image.GetSize() == ct.GetSize()
            for of in ("GetSpacing", "GetOrigin", "GetDirection"):
                np.testing.assert_allclose(getattr(image, of)(), getattr(ct, of)(), atol=1e-4)


def test_the_explanation_is_each_lesions_positive_share_painted_where_it_lies(finished):
    """In voxels of the file, whatever its orientation; lesion 1 is the larger ball of the simulated body."""
    output = finished[2]
    rows = {(r["case"], r["node"]): float(r["importance"]) for r in _rows(output / "regions.csv")}
    assert any(share > 0 for (_, node), share in rows.items() if node.startswith("lesion"))
    for case in ("a", "b"):
        image = sitk.ReadImage(str(output / "explanation" / f"{case}_explanation.nii.gz"))
        for number, centre in enumerate(LESION_CENTRES_MM, start=1):
            here = image.TransformPhysicalPointToIndex([c + o for c, o in zip(centre[::-1], ORIGIN, strict=True)])
            assert image[here] == pytest.approx(max(rows[case, f"lesion_{number}"], 0), abs=1e-5)


def test_uncertainty_lies_on_the_regions_and_the_regions_are_those_given(finished):
    _, regions, output = finished
    for case in ("a", "b"):
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(regions / f"{case}.nii.gz")))
        spread = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "explanation" / f"{case}_uncertainty.nii.gz")))
        used = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "explanation" / f"{case}_regions.nii.gz")))
        np.testing.assert_array_equal(used, labels)
        assert spread[labels == 2].mean() > 5 * spread[labels == 0].mean()


def test_region_rows_hold_signed_shares_and_attention_on_lesions(finished):
    rows = [r for r in _rows(finished[2] / "regions.csv") if r["case"] == "a"]
    assert 0 < sum(abs(float(r["importance"])) for r in rows) <= 1.0001
    assert sum(float(r["attention"]) for r in rows) == pytest.approx(1.0, abs=1e-4)
    lesions = [r for r in rows if r["kind"] == "lesion"]
    assert len(lesions) == 2
    assert float(lesions[0]["volume_mm3"]) == pytest.approx(4 / 3 * np.pi * 5**3, rel=0.3)
    assert all(r["grade"] in ("low", "high") for r in lesions)
    assert all(not r["grade"] for r in rows if r["kind"] not in ("lesion", "other_lesions"))


def test_report_pictures_and_run_are_written(finished):
    output = finished[2]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert (output / "pictures" / "b.png").stat().st_size > 10_000
    assert read_json(output / "run.json")["plan_hash"]


def test_predicting_twice_gives_the_same_files(finished, model, tmp_path):
    images, regions, output = finished
    assert _predict(images, tmp_path / "again", model, "-r", regions) == 0
    for file in ("predictions.csv", "regions.csv", *(f"explanation/b_{k}.nii.gz" for k in IMAGES)):
        assert (tmp_path / "again" / file).read_bytes() == (output / file).read_bytes(), file


def test_a_finished_case_is_kept_and_a_changed_one_predicted_again(finished, model, tmp_path):
    images, regions = shutil.copytree(finished[0], tmp_path / "in"), finished[1]
    output = shutil.copytree(finished[2], tmp_path / "out")
    kept = output / "cases" / "a.json"
    write_json(kept, read_json(kept) | {"predicted_class": "kept"})
    shutil.copy(images / "a_0000.nii.gz", images / "b.nii.gz")  # another scan of b
    shutil.copytree(regions, tmp_path / "maps")
    shutil.copy(regions / "a.nii.gz", tmp_path / "maps" / "b.nii.gz")
    before = _rows(output / "predictions.csv")[1]
    assert _predict(images, output, model, "-r", tmp_path / "maps") == 0
    a, b = _rows(output / "predictions.csv")
    assert a["predicted_class"] == "kept"
    assert b["p_low"] != before["p_low"]


def test_an_interrupted_run_ends_in_the_same_tables(finished, model, tmp_path):
    images, regions, output = finished
    partial = shutil.copytree(output, tmp_path / "out")
    for lost in ("cases/b.json", "predictions.csv", "regions.csv", "report.html", "pictures/b.png"):
        (partial / lost).unlink()
    assert _predict(images, partial, model, "-r", regions) == 0
    for file in ("predictions.csv", "regions.csv", "report.html", "pictures/b.png"):
        assert (partial / file).read_bytes() == (output / file).read_bytes(), file


def test_a_ct_in_which_nothing_is_found_is_not_classified(model, cohort, tmp_path):
    assert _predict(cohort[0], tmp_path / "out", model) == 0
    for row in _rows(tmp_path / "out" / "predictions.csv"):
        assert (row["status"], row["regions_from"], row["p_low"]) == ("not classified", "localiser", "")
        assert "found no lesion" in row["reason"]
    assert "not classified" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_broken_file_is_listed_the_others_are_finished_and_the_exit_code_is_3(model, cohort, tmp_path, capsys):
    images, regions = cohort
    whole = (images / "a_0000.nii.gz").read_bytes()
    (images / "c_0000.nii.gz").write_bytes(whole[: len(whole) // 2])
    (images / "d_0000.nii.gz").write_bytes(b"no image")
    assert _predict(images, tmp_path / "out", model, "-r", regions, "--no_explanation") == 3
    rows = {r["case"]: r for r in _rows(tmp_path / "out" / "predictions.csv")}
    assert [rows[c]["status"] for c in "abcd"] == ["classified", "classified", "failed", "failed"]
    assert "c_0000.nii.gz" in rows["c"]["reason"]
    assert "2 failed" in capsys.readouterr().out


def test_a_region_map_on_another_grid_fails_its_case_only(model, cohort, tmp_path):
    images, regions = cohort
    labels = sitk.ReadImage(str(regions / "b.nii.gz"))
    labels.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(labels, str(regions / "b.nii.gz"))
    assert _predict(images, tmp_path / "out", model, "-r", regions, "--no_explanation") == 3
    a, b = _rows(tmp_path / "out" / "predictions.csv")
    assert (a["status"], b["status"]) == ("classified", "failed")
    assert "expected the grid of b.nii.gz" in b["reason"]


def test_without_explanation_only_tables_and_report_are_written(finished, model, tmp_path):
    images, regions, output = finished
    assert _predict(images, tmp_path / "out", model, "-r", regions, "--no_explanation") == 0
    fast, full = _rows(tmp_path / "out" / "predictions.csv"), _rows(output / "predictions.csv")
    assert fast == full
    assert not (tmp_path / "out" / "explanation").exists()


def test_fewer_passes_with_one_fold_and_no_flips(model, cohort, tmp_path):
    arguments = ("-r", cohort[1], "-f", 1, "--no_flips", "--no_explanation")
    assert _predict(cohort[0], tmp_path / "out", model, *arguments) == 0
    row = _rows(tmp_path / "out" / "predictions.csv")[0]
    assert (row["members"], float(row["uncertainty_std"])) == ("1", 0.0)


@pytest.mark.parametrize(
    "damaged",
    [
        (shutil.rmtree, "expected a model folder"),
        (lambda m: (m / "plan.json").write_text("{"), "not valid JSON"),
        (lambda m: (m / "fold_0" / "student.safetensors").write_bytes(b"\0" * 100), "not readable as safetensors"),
        (lambda m: [shutil.rmtree(f) for f in m.glob("fold_*")], "no finished fold"),
    ],
    ids=["missing", "broken plan", "damaged weights", "untrained"],
)
def test_a_bad_model_folder_is_one_sentence_and_exit_code_2(model, cohort, tmp_path, capsys, damaged):
    damage, sentence = damaged
    copy = shutil.copytree(model.path, tmp_path / "model")
    damage(copy)
    assert _predict(cohort[0], tmp_path / "out", copy) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "wrong",
    [(("-f", 7), "fold 7 is not finished"), (("-r", "nowhere"), "nowhere: not a folder")],
)
def test_wrong_options_are_one_sentence_and_exit_code_2(model, cohort, tmp_path, capsys, wrong):
    more, sentence = wrong
    assert _predict(cohort[0], tmp_path / "out", model, *more) == 2
    assert sentence in capsys.readouterr().err


def test_an_output_that_is_a_file_is_refused(model, cohort, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert _predict(cohort[0], tmp_path / "out", model) == 2
    assert "expected a folder" in capsys.readouterr().err


def test_a_model_without_regions_reads_the_whole_image_and_shows_its_activation_map(cohort, tmp_path):
    plan = plan_for_tests()
    plan = dataclasses.replace(
        plan,
        graph=dataclasses.replace(plan.graph, enabled=False),
        localiser=dataclasses.replace(plan.localiser, enabled=False),
    )
    whole_image = write_model(tmp_path / "model", plan)
    assert _predict(cohort[0], tmp_path / "out", whole_image) == 0
    row = _rows(tmp_path / "out" / "predictions.csv")[0]
    assert (row["status"], row["regions_from"]) == ("classified", "none")
    assert _rows(tmp_path / "out" / "regions.csv") == []
    image = sitk.ReadImage(str(tmp_path / "out" / "explanation" / "a_explanation.nii.gz"))
    assert 0 < sitk.GetArrayFromImage(image).max() <= 1


def test_a_model_of_supervoxels_divides_a_new_ct_as_they_were_made(cohort, tmp_path):
    plan, parts = plan_for_tests(), supervoxel_regions(4)
    graph = dataclasses.replace(
        plan.graph, organ=False, parcels=(0, 0, 0), lesions=0, rings="none", other_lesions=False, context=(1, 2, 3, 4)
    )
    plan = dataclasses.replace(plan, graph=graph, localiser=dataclasses.replace(plan.localiser, enabled=False))
    divided = write_model(tmp_path / "model", plan, dataset=small_dataset(regions=parts))
    assert _predict(cohort[0], tmp_path / "out", divided) == 0
    row = _rows(tmp_path / "out" / "predictions.csv")[0]
    assert (row["status"], row["regions_from"]) == ("classified", "supervoxels")
    nodes = [r["node"] for r in _rows(tmp_path / "out" / "regions.csv") if r["case"] == "a"]
    assert sorted(nodes) == [f"supervoxel_{i}" for i in range(1, 5)]
    assert "divided into supervoxels" in (tmp_path / "out" / "report.html").read_text()
    given = supervoxel_map(to_canonical(read_image(cohort[0] / "a_0000.nii.gz")), (1, 2, 3, 4))
    (tmp_path / "maps").mkdir()
    sitk.WriteImage(given, str(tmp_path / "maps" / "a.nii.gz"))
    assert _predict(cohort[0], tmp_path / "again", divided, "-r", tmp_path / "maps") == 0
    again = _rows(tmp_path / "again" / "predictions.csv")[0]
    assert (again["regions_from"], again["p_low"]) == ("region maps", row["p_low"])


def test_without_regions_or_localiser_a_case_is_not_classified(cohort, tmp_path):
    lone = write_model(tmp_path / "model", plan_for_tests(), folds=1)
    lone.localiser_weights(0).unlink()
    assert _predict(cohort[0], tmp_path / "out", lone) == 0
    for row in _rows(tmp_path / "out" / "predictions.csv"):
        assert (row["status"], row["regions_from"]) == ("not classified", "none")
        assert "-r" in row["reason"]
