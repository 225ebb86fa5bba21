import json
import shutil
import subprocess
import sys

import pytest

from reactkd_auto.cases import finished_cases, read_properties
from reactkd_auto.dataset import LabelledCase, write_labels
from reactkd_auto.errors import UserError
from reactkd_auto.lock import locked
from reactkd_auto.plan import read_plan
from reactkd_auto.planning import plan_and_preprocess
from reactkd_auto.planning.command import main
from reactkd_auto.splits import read_splits
from tests.planning.raw_cohort import DATASET, FOLDER, WITH_CT, make_raw, write_case, write_image

CASES = [f"case_{i}" for i in range(6)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace that was planned and preprocessed once."""
    workspace = tmp_path_factory.mktemp("template")
    make_raw(workspace)
    assert run(workspace) == 0
    return workspace


@pytest.fixture
def workspace(template, tmp_path):
    """A copy of it."""
    return shutil.copytree(template, tmp_path / "workspace")


def run(workspace, *options):
    arguments = ["-w", workspace, "--device", "cpu", "--workers", 1, *options]
    return main([str(a) for a in arguments])


def out(workspace):
    return workspace / "preprocessed" / FOLDER


def contents(workspace):
    return {p.name: p.read_bytes() for p in sorted((out(workspace) / "cases").iterdir())}


def made_at(workspace):
    return {p.stem: p.stat().st_mtime_ns for p in (out(workspace) / "cases").glob("*.json")}


def test_everything_is_written_and_the_plan_is_shown(template, tmp_path, capsys):
    workspace = shutil.copytree(template / "raw", tmp_path / "raw").parent
    assert run(workspace) == 0
    shown = capsys.readouterr().out
    assert "spacing z y x, mm" in shown
    assert str(out(workspace)) in shown
    names = {"fingerprint.json", "plan.json", "splits.json", "dataset.json", "run.json", "cases"}
    assert names <= {p.name for p in out(workspace).iterdir()}
    plan, splits = read_plan(out(workspace) / "plan.json"), read_splits(out(workspace))
    assert finished_cases(out(workspace) / "cases") == sorted(splits.assignment) == CASES
    assert plan.splits_hash == splits.hash
    assert json.loads((out(workspace) / "run.json").read_text())["plan_hash"] == plan.hash
    assert contents(workspace) == contents(template)


def test_a_second_run_keeps_every_case(workspace, caplog):
    before, plan = made_at(workspace), (out(workspace) / "plan.json").read_bytes()
    with caplog.at_level("INFO", logger="reactkd_auto"):
        assert run(workspace) == 0
    assert made_at(workspace) == before
    assert (out(workspace) / "plan.json").read_bytes() == plan
    assert "keeping 6" in caplog.text


def test_an_interrupted_run_is_finished_with_the_same_result(workspace, template):
    (out(workspace) / "plan.json").unlink()
    (out(workspace) / "splits.json").unlink()
    (out(workspace) / "cases" / "case_2.json").unlink()
    (out(workspace) / "cases" / "case_4.b2nd").write_bytes(b"half")
    (out(workspace) / "cases" / "case_4.json").unlink()
    (out(workspace) / "cases" / ".tmp999999999_case_4.b2nd").write_bytes(b"left by a killed process")
    before = made_at(workspace)
    assert run(workspace) == 0
    assert contents(workspace) == contents(template)
    assert (out(workspace) / "plan.json").read_bytes() == (out(template) / "plan.json").read_bytes()
    assert (out(workspace) / "splits.json").read_bytes() == (out(template) / "splits.json").read_bytes()
    assert {c: t for c, t in made_at(workspace).items() if c in before} == before


def test_the_plan_is_away_while_cases_are_out_of_date(workspace, monkeypatch):
    """A killed run must not leave a plan beside cases of another one."""

    def dies(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("reactkd_auto.planning.preprocess.preprocess_cases", dies)
    (out(workspace) / "cases" / "case_2.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        run(workspace)
    assert not (out(workspace) / "plan.json").exists()
    assert not (out(workspace) / "plan.html").exists()


def test_a_changed_label_makes_only_that_case_again(workspace):
    before = made_at(workspace)
    rows = [LabelledCase(f"case_{i}", f"patient_{i}", None if i == 3 else i % 2) for i in range(6)]
    write_labels(workspace / "raw" / FOLDER / "labelsTr.csv", rows, DATASET.classes)
    assert run(workspace, "--folds", 2) == 0
    after = made_at(workspace)
    assert {c for c in CASES if after[c] != before[c]} == {"case_3"}
    assert read_properties(out(workspace) / "cases", "case_3").label is None
    assert read_splits(out(workspace)).assignment["case_3"] == -1


def test_added_cases_keep_all_folds_and_all_finished_cases(workspace):
    before, folds = made_at(workspace), read_splits(out(workspace)).assignment
    make_raw(workspace, 2, first=6)
    assert run(workspace, "--folds", 3) == 0
    assert {c: read_splits(out(workspace)).assignment[c] for c in CASES} == folds
    after = made_at(workspace)
    assert {c: after[c] for c in CASES} == before
    assert len(after) == 8


def test_a_case_that_left_the_label_table_leaves_the_preprocessed_cases(workspace):
    rows = [LabelledCase(f"case_{i}", f"patient_{i}", i % 2) for i in range(5)]
    write_labels(workspace / "raw" / FOLDER / "labelsTr.csv", rows, DATASET.classes)
    assert run(workspace) == 0
    assert finished_cases(out(workspace) / "cases") == CASES[:5]


def test_choices_of_the_user_land_in_a_plan_of_another_name_beside_the_first(workspace):
    before = made_at(workspace)
    assert run(workspace, "-p", "coarse", "--spacing", 4, 3, 3, "--patch_size", 16, 16, 24, "--batch_size", 2) == 0
    plan = read_plan(out(workspace) / "coarse.json")
    assert (plan.spacing_mm, plan.patch_size, plan.batch_size) == ((4.0, 3.0, 3.0), (16, 16, 24), 2)
    assert set(plan.chosen_by_user) == {"spacing_mm", "patch_size", "batch_size"}
    assert all(plan.reasons[name] == "chosen by the user" for name in plan.chosen_by_user)
    assert finished_cases(out(workspace) / "cases_coarse") == CASES
    assert made_at(workspace) == before
    assert read_plan(out(workspace) / "plan.json").name == "auto"


def test_a_plan_for_a_gpu_needs_none(workspace):
    assert run(workspace, "-p", "gpu", "--device", "cuda", "--gpu_memory_gb", 24, "--batch_size", 2) == 0
    plan = read_plan(out(workspace) / "gpu.json")
    assert (plan.device, plan.gpu_memory_gb) == ("cuda", 24.0)


def test_bad_cases_are_listed_and_all_others_are_finished(workspace, capsys):
    raw = workspace / "raw" / FOLDER
    image = raw / "imagesTr" / "case_1_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:100])
    import numpy as np

    write_image(raw / "regionsTr" / "case_4.nii.gz", np.ones((5, 6, 7), np.uint8), (2.0, 1.5, 1.5))
    make_raw(workspace, 2, first=6)
    assert run(workspace, "--folds", 2) == 3
    complaint = capsys.readouterr().err
    assert "2 of 8 cases" in complaint
    assert "case_1: " in complaint
    assert "case_4: " in complaint
    rest = ["case_0", "case_2", "case_3", "case_5", "case_6", "case_7"]
    assert finished_cases(out(workspace) / "cases") == rest
    assert sorted(read_splits(out(workspace)).assignment) == rest


def test_a_case_that_fails_in_preprocessing_is_left_out_of_the_folds(workspace, monkeypatch, capsys):
    from reactkd_auto.planning import preprocess

    works = preprocess.preprocess_case

    def fails(raw, **options):
        if raw.case == "case_2":
            raise UserError("case_2: something about it.")
        return works(raw, **options)

    monkeypatch.setattr(preprocess, "preprocess_case", fails)
    for name in ("case_2", "case_5"):
        (out(workspace) / "cases" / f"{name}.json").unlink()
    assert run(workspace) == 3
    assert "case_2: something about it." in capsys.readouterr().err
    rest = [c for c in CASES if c != "case_2"]
    assert finished_cases(out(workspace) / "cases") == rest
    splits = read_splits(out(workspace))
    assert sorted(splits.assignment) == rest
    assert read_plan(out(workspace) / "plan.json").splits_hash == splits.hash


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("-d", "Other"), "Other"),
        (("-p", "splits"), "splits.json"),
        (("-p", "../x"), "plan name"),
        (("--patch_size", 7, 8, 8), "--patch_size"),
        (("--folds", 0), "--folds"),
        (("--folds", 1), "--folds"),
        (("--gpu_memory_gb", 24), "--device cuda"),
        (("--device", "cuda"), "no CUDA device"),
        (("--folds", 1, "--num_parts", 2, "--part_id", 0), "--folds"),
        (("--device", "cuda", "--num_parts", 2, "--part_id", 0), "no CUDA device"),
    ],
)
def test_a_user_mistake_is_one_sentence_before_any_work(workspace, capsys, monkeypatch, options, named):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("reactkd_auto.planning.api.measure_cases", lambda *_, **__: pytest.fail("measured first"))
    before = contents(workspace)
    assert run(workspace, *options) == 2
    complaint = capsys.readouterr().err
    assert named in complaint
    assert "Traceback" not in complaint
    assert contents(workspace) == before
    assert (out(workspace) / "plan.json").exists()


def test_a_cohort_of_one_class_is_refused(tmp_path, capsys):
    raw = make_raw(tmp_path, 2)
    write_labels(raw / "labelsTr.csv", [LabelledCase(f"case_{i}", f"p{i}", 0) for i in range(2)], DATASET.classes)
    assert run(tmp_path) == 2
    assert "at least two classes" in capsys.readouterr().err


def test_a_cohort_without_a_usable_case_is_refused(tmp_path, capsys):
    raw = make_raw(tmp_path, 2)
    for path in (raw / "imagesTr").glob("*_0000*"):
        path.unlink()
    assert run(tmp_path) == 2
    assert "none of 2 cases" in capsys.readouterr().err


def test_images_without_a_label_row_are_mentioned(workspace, caplog):
    write_case(workspace / "raw" / FOLDER, 9)
    with caplog.at_level("WARNING", logger="reactkd_auto"):
        assert run(workspace) == 0
    assert "case_9" in caplog.text


def test_the_python_function_gives_the_plan_of_the_command(workspace):
    plan = plan_and_preprocess(workspace=workspace, device="cpu", workers=1, quiet=True)
    assert plan == read_plan(out(workspace) / "plan.json")


def test_help_is_fast_and_names_every_option():
    code = "import sys\nfrom reactkd_auto.planning.command import main\ntry:\n    main(['-h'])\nfinally:\n"
    code += "    assert not {'torch', 'SimpleITK', 'scipy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for option in ("-d", "-w", "-p", "--device", "--seed", "--quiet", "--spacing", "--patch_size", "--batch_size"):
        assert option in done.stdout


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(tmp_path):
    for workers in (1, 2):
        make_raw(tmp_path / str(workers), 4, dataset=WITH_CT)
        assert run(tmp_path / str(workers), "--workers", workers) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_ct_gets_dose_noise_and_the_table_says_so(tmp_path, capsys):
    make_raw(tmp_path, 2, dataset=WITH_CT)
    assert run(tmp_path) == 0
    assert "dose fractions" in capsys.readouterr().out
    properties = read_properties(out(tmp_path) / "cases", "case_0")
    assert properties.noise_levels == read_plan(out(tmp_path) / "plan.json").dose.levels


def test_two_processes_do_not_plan_the_same_dataset(workspace, capsys):
    with locked(out(workspace)):
        assert run(workspace) == 2
    assert "another process is at work here" in capsys.readouterr().err


def test_covariates_are_handed_on_and_nothing_is_made_again_for_them(workspace):
    before, raw = contents(workspace), workspace / "raw" / FOLDER
    document = json.loads((raw / "dataset.json").read_text())
    assert not (out(workspace) / "covariates.csv").exists()
    (raw / "dataset.json").write_text(json.dumps(document | {"covariates": [{"name": "age", "kind": "numeric"}]}))
    header, *rows = (raw / "labelsTr.csv").read_text().splitlines()
    table = [f"{header},age", *(f"{row},{50 + i if i else ''}" for i, row in enumerate(rows))]
    (raw / "labelsTr.csv").write_text("\n".join(table) + "\n")
    assert run(workspace) == 0
    known = (out(workspace) / "covariates.csv").read_text().splitlines()
    assert known[:3] == ["case,age", "case_0,", "case_1,51.0"]
    assert contents(workspace) == before


def test_a_faulty_covariate_is_told_before_the_work_begins(workspace, capsys):
    raw = workspace / "raw" / FOLDER
    document = json.loads((raw / "dataset.json").read_text())
    (raw / "dataset.json").write_text(json.dumps(document | {"covariates": [{"name": "age", "kind": "numeric"}]}))
    assert run(workspace) == 2
    assert (
        "labelsTr.csv: column 'age' is missing (found case, patient, label), expected a CSV with columns case, age"
        in capsys.readouterr().err
    )


def test_a_table_saved_in_another_encoding_is_one_sentence(workspace, capsys):
    table = workspace / "raw" / FOLDER / "labelsTr.csv"
    table.write_bytes(table.read_text().replace(",", ",Müller ").encode("latin-1"))
    assert run(workspace) == 2
    assert "labelsTr.csv: line 1 is not readable as UTF-8" in capsys.readouterr().err
