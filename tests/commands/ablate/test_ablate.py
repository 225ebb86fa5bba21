"""The command on a tiny cohort: trainings, parts, continuation, table."""

import json
import os
import signal
from dataclasses import replace

import pytest

from reactkd_auto.commands.ablate import ablate, api
from reactkd_auto.commands.ablate.command import main
from reactkd_auto.covariates import write_covariates
from reactkd_auto.dataset import Covariate, write_dataset
from reactkd_auto.errors import UserError
from reactkd_auto.training import pretrain

RECIPES = ("baseline", "auto")


@pytest.fixture(autouse=True)
def _only_trainings(monkeypatch):
    """A fold's own pages, pictures and counts have tests of their own."""
    monkeypatch.setattr("reactkd_auto.training.journal.draw_progress", lambda *_, **__: None)
    monkeypatch.setattr("reactkd_auto.training.stages.describe", lambda *_: {"parameters": 1, "flops": 1})
    monkeypatch.setattr("reactkd_auto.training.stages.tell_readiness", lambda *_: None)
    monkeypatch.setattr("reactkd_auto.training.validation.evaluate", lambda *_, **__: None)


def options(cohort, **more):
    return {"workspace": cohort.workspace, "recipes": RECIPES, "device": "cpu", "quiet": True, **more}


def weights(cohort):
    return {p: p.stat().st_mtime_ns for p in cohort.results.glob("**/student.safetensors")}


def test_parts_train_their_share_and_any_later_call_makes_the_table(make_cohort, monkeypatch, capsys):
    cohort = make_cohort()
    assert ablate(**options(cohort, num_parts=2, part_id=0)) is None
    assert {p.parent.name for p in weights(cohort)} == {"fold_0"}
    ablate(**options(cohort, num_parts=2, part_id=1))
    trained = weights(cohort)
    assert len(trained) == 4

    assert main(["-w", str(cohort.workspace), "--recipes", *RECIPES, "--device", "cpu", "--quiet"]) == 0
    assert weights(cohort) == trained
    folder = cohort.results / "ablation"
    comparison = json.loads((folder / "ablation.json").read_text())
    assert [r["name"] for r in comparison["recipes"]] == ["baseline", "auto", "auto, its teacher"]
    assert comparison["n_cases"] == 8
    assert "| baseline |" in capsys.readouterr().out
    page = (folder / "ablation.html").read_text()
    assert "data:image/svg+xml" in page
    assert "://" not in page
    assert json.loads((folder / "run.json").read_text())["options"]["recipes"] == list(RECIPES)

    monkeypatch.setattr(api, "perform", lambda *_, **__: {})
    ablate(**options(cohort, seeds=[0, 1]))
    assert json.loads((folder / "ablation.json").read_text())["seeds"] == [0]
    assert "auto seed 1" in (folder / "ablation.html").read_text()

    # One that was stopped between its last weights and its judgement:
    (cohort.results / "auto_seed0" / "fold_1" / "validation" / "predictions.csv").unlink()
    assert ablate(**options(cohort)) is None


def test_a_training_that_failed_is_in_no_number_whatever_was_trained_before(make_cohort, capsys):
    cohort = make_cohort()
    folder = cohort.results / "ablation"
    ablate(**options(cohort, recipes=["baseline"], folds=[0], epochs=1, iterations=1, output=folder / "before"))
    command = ["-w", str(cohort.workspace), "--recipes", "baseline", "-f", "0", "--device", "cpu", "--quiet"]
    command += ["--epochs", "2", "--iterations", "1"]
    assert main(command) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "1 of 1 trainings failed, the first (baseline, seed 0, fold 0): " in error
    assert "was trained with epochs 1, this run expects 2; use the same, or --restart of reactkd_train" in error
    assert [p.name for p in folder.iterdir()] == ["before"]

    assert main([*command, "--seeds", "0", "1"]) == 2
    assert json.loads((folder / "ablation.json").read_text())["seeds"] == [1]
    assert "baseline seed 0" in (folder / "ablation.html").read_text()


def test_a_signal_ends_it_with_one_sentence_and_the_same_call_continues(make_cohort, monkeypatch, capsys):
    cohort = make_cohort()
    command = ["-w", str(cohort.workspace), "--recipes", "baseline", "--folds", "0", "--device", "cpu", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "reactkd_auto.training.student_stage.StudentTask.watch",
            lambda *_: os.kill(os.getpid(), signal.SIGTERM) or {},
        )
        assert main(command) == 128 + signal.SIGTERM
    error = capsys.readouterr().err
    assert error.startswith("reactkd_ablate: stopped by SIGTERM after")
    assert len(error.splitlines()) == 1
    assert main(command) == 0


@pytest.mark.slow
def test_a_cluster_trains_folds_side_by_side(make_cohort):
    pytest.importorskip("ray")
    cohort = make_cohort()
    arguments = ["-w", str(cohort.workspace), "--recipes", *RECIPES, "--device", "cpu", "--quiet", "--engine", "ray"]
    assert main(arguments) == 0
    trained = weights(cohort)
    assert len(trained) == 4
    assert (cohort.results / "ablation" / "ablation.html").exists()
    assert main(arguments) == 0
    assert weights(cohort) == trained


def test_what_covariates_tell_without_images_stands_in_the_table_once(make_cohort):
    cohort = make_cohort()
    folder, marker = cohort.cases.parent, (Covariate("marker", "numeric"),)
    write_dataset(folder, replace(cohort.dataset, covariates=marker))
    write_covariates(folder, {f"case_{i:02d}": (float(i // 2 % 2) + 0.1 * (i % 3),) for i in range(10)}, marker)
    ablate(**options(cohort, recipes=("baseline", "kd")))
    rows = json.loads((cohort.results / "ablation" / "ablation.json").read_text())["recipes"]
    assert [r["name"] for r in rows] == ["baseline", "covariates alone", "kd", "kd, its teacher"]
    assert rows[1]["auc"]["value"] == 1.0


def test_recipes_with_and_without_pretrained_encoders_stand_in_one_table(make_cohort):
    cohort = make_cohort()
    folder = pretrain(workspace=cohort.workspace, device="cpu", quiet=True)
    recipes = ("baseline", "baseline:pretrained", "baseline:pretrained_lora2")
    ablate(**options(cohort, recipes=recipes, pretrained=folder))
    rows = json.loads((cohort.results / "ablation" / "ablation.json").read_text())["recipes"]
    assert [r["name"] for r in rows] == list(recipes)
    begun = {}
    for name in ("baseline", "baseline_pretrained", "baseline_pretrained_lora2"):
        settings = json.loads((cohort.results / f"{name}_seed0" / "fold_0" / "settings.json").read_text())
        begun[name] = ("pretrained" in settings, settings.get("LoRA rank"))
    assert list(begun.values()) == [(False, None), (True, None), (True, 2)]


def test_students_of_several_channels_stand_beside_those_of_the_ct(make_cohort):
    cohort = make_cohort()
    recipes = ("baseline", "baseline:PET0")
    ablate(**options(cohort, recipes=recipes))
    rows = json.loads((cohort.results / "ablation" / "ablation.json").read_text())["recipes"]
    assert [r["name"] for r in rows] == list(recipes)
    assert {p.parent.parent.name for p in weights(cohort)} == {"baseline_seed0", "baseline_CT+PET0_seed0"}


def test_pretrained_encoders_and_recipes_that_take_them_belong_together(make_cohort, tmp_path, capsys):
    cohort = make_cohort()
    common = ("-w", str(cohort.workspace), "--device", "cpu", "--quiet", "--recipes", "baseline")
    assert main([*common, "baseline:pretrained"]) == 2
    assert "recipe baseline:pretrained: found no --pretrained" in capsys.readouterr().err
    assert main([*common, "--pretrained", str(tmp_path)]) == 2
    assert "expected one such as baseline:pretrained" in capsys.readouterr().err


def test_teachers_of_a_recipe_that_has_none_are_refused_before_anything_is_trained(make_cohort):
    cohort = make_cohort()
    with pytest.raises(UserError, match="teachers in_sample: preset baseline has none"):
        ablate(**options(cohort, recipes=["auto", "baseline:in_sample"]))
    assert weights(cohort) == {}


def test_bad_recipes_are_one_sentence(make_cohort, capsys):
    cohort = make_cohort()
    common = ("-w", str(cohort.workspace), "--device", "cpu", "--quiet", "-f", "0", "--recipes")
    assert main([*common, "best"]) == 2
    assert "recipe best: --preset best: unknown, expected one of" in capsys.readouterr().err
    assert main([*common, "baseline", "--reference", "auto"]) == 2
    assert "--reference auto: expected one of baseline" in capsys.readouterr().err
    assert main([*common, "baseline", "auto:CT+MR"]) == 2
    expected = "recipe auto:CT+MR: --student_channels CT,MR: 'MR' is unknown, expected some of CT, PET0, each once."
    assert expected in capsys.readouterr().err
    assert main([*common, "baseline", "auto:MR"]) == 2
    assert "recipe auto:MR: --student_channels MR: 'MR' is unknown" in capsys.readouterr().err
    assert not weights(cohort)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--folds", "0", "2"], "--folds 2: expected some of 0…1, as planned."),
        (["--folds", "-1"], "--folds -1: expected some of 0…1, as planned."),
        (["--seeds", "0", "-1"], "--seeds -1: expected 0 or more."),
        (["--epochs", "0"], "--epochs 0: expected at least 1."),
        (["--iterations", "-3"], "--iterations -3: expected at least 1."),
        (["--num_parts", "2"], "--num_parts 2: expected --part_id with it; at the end leave both out."),
        (["--num_parts", "2", "--part_id", "2"], "--part_id 2: expected 0…1"),
        (["-p", "other"], "other.json: file not found, expected a plan; run reactkd_plan_and_preprocess first."),
    ],
)
def test_options_out_of_range_are_one_sentence_before_anything_is_trained(make_cohort, capsys, arguments, sentence):
    cohort = make_cohort()
    assert main(["-w", str(cohort.workspace), "--device", "cpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not cohort.results.exists()


def test_a_dataset_without_a_plan_is_sent_to_be_planned(tmp_path, capsys):
    (tmp_path / "raw" / "Dataset001_Tiny").mkdir(parents=True)
    assert main(["-w", str(tmp_path)]) == 2
    expected = "plan.json: file not found, expected a plan; run reactkd_plan_and_preprocess first."
    assert expected in capsys.readouterr().err


def test_a_fold_or_seed_that_is_named_twice_counts_once(make_cohort):
    cohort = make_cohort()
    ablate(**options(cohort, recipes=["baseline"], folds=[0, 0], seeds=[0, 0], epochs=1, iterations=1))
    comparison = json.loads((cohort.results / "ablation" / "ablation.json").read_text())
    assert (comparison["n_cases"], comparison["seeds"]) == (4, [0])


def test_help_tells_defaults_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["-h"])
    said = " ".join(capsys.readouterr().out.split())
    assert "baseline and auto if left out" in said
    assert "('" not in said
    assert "(0,)" not in said
