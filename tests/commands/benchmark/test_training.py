"""`reactkd_benchmark training` on a small planned cohort."""

import json
import time

import pytest
import torch

from reactkd_auto.commands.benchmark import training
from reactkd_auto.commands.benchmark.command import main
from reactkd_auto.commands.benchmark.learners import Prompted
from reactkd_auto.commands.benchmark.measuring import Spread
from reactkd_auto.commands.benchmark.real_training import RealTraining, train_on_real_cases
from reactkd_auto.commands.benchmark.resident import random_arrays
from reactkd_auto.commands.benchmark.scene import Scene
from reactkd_auto.commands.benchmark.training_rows import Result, Row, table
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.training import loader
from tests.builders import small_dataset, small_plan
from tests.pipeline import run


def test_resident_samples_have_every_channel_and_every_region():
    plan, dataset = small_plan(), small_dataset()
    arrays = random_arrays(plan, dataset, seed=0, device=torch.device("cpu"))
    slots = len(node_slots(plan.graph, dataset))
    assert len(arrays["names"]) == len(arrays["label"]) == plan.batch_size
    assert set(arrays["nodes"][0, 0].unique().tolist()) == set(range(1, slots + 1))
    assert arrays["present"].all()
    assert arrays["image"].std() > 10


def test_which_channels_resident_samples_have_is_known_without_asking_the_device():
    arrays = random_arrays(small_plan(), small_dataset(), seed=0, device=torch.device("meta"))
    assert arrays["present"].device.type == "cpu"
    assert arrays["image"].is_meta


def test_teachers_asked_ahead_answer_once_and_are_asked_by_the_step_otherwise():
    asked = []
    prompted = Prompted(lambda what: asked.append(what) or f"answer to {what}")
    prompted.ahead("a")
    assert asked == ["a"]
    assert prompted.answer("a") == "answer to a"
    assert asked == ["a"]
    assert prompted.answer("b") == "answer to b"
    assert asked == ["a", "b"]


def a_row(who, ms, *, flops=10, warm_up=None):
    spread = Spread.of([ms])
    return Row(who, (8, 8, 8), 2, {"backward": spread}, spread, None, 10, flops, warm_up)


def a_result(*, real_seconds=10.0):
    own = [a_row("teachers", 100.0), a_row("student", 50.0)]
    compiled = [a_row("student", 40.0, warm_up=30.0)]
    paper = [a_row("paper's teachers", 400.0), a_row("paper's student", 200.0, flops=60)]
    real = RealTraining(2, 5, 1, real_seconds, 10.0, Spread.of([1.0]))
    return Result("in_sample, its own set", [*own, *compiled, *own, *paper], real, {})


def test_a_slow_loop_on_real_cases_misses_its_target():
    assert [v.met for v in a_result(real_seconds=11.0).verdicts] == [True] * 4
    slow = a_result(real_seconds=12.0)
    assert [v.met for v in slow.verdicts] == [True, True, True, False]
    assert "share of that on resident samples: 0.833, target ≥ 0.9: MISSED" in table(slow)


def test_compiled_encoders_are_compared_with_the_others_and_take_no_part_in_targets():
    result = a_result()
    (compiled,) = result.compiled
    assert compiled.ratio.median == pytest.approx(0.8)
    assert compiled.warm_up_s == 30
    assert result.verdicts[0].value == pytest.approx(4)
    assert "compiled student: a step takes 0.8 (0.8–0.8) times as long as without, the first one 30 s" in table(result)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A planned and preprocessed cohort of four folds."""
    root = tmp_path_factory.mktemp("workspace")
    run("reactkd_make_demo_dataset", "-w", root, "--cases", 10, "--ungraded", 0, "--tests", 0)
    run("reactkd_plan_and_preprocess", "-w", root, "--device", "cpu", "--quiet")
    return root


@pytest.mark.slow
def test_a_slow_reader_of_cases_shows_in_the_share(workspace, monkeypatch):
    scene = Scene(workspace, None, "auto", None, None, "cpu", 0)
    run, read = scene.run(), loader.read_case
    resident = random_arrays(run.plan, run.dataset, seed=0, device=run.device)
    monkeypatch.setattr(loader, "read_case", lambda *case: (time.sleep(0.5), read(*case))[1])
    real = train_on_real_cases(lambda arrays: time.sleep(0.1), resident, run, fold=0, fewest=3)
    assert real.steps == 3
    assert real.load_ms.low >= 500 * run.plan.batch_size
    assert real.share < 0.5


@pytest.mark.slow
def test_the_table_has_every_learner_and_honest_ratios(workspace, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "PAPER_INPUT", (32, 32, 32))
    compiled: list[torch.nn.Module] = []

    def compile(self: torch.nn.Module) -> None:
        compiled.append(self)

    monkeypatch.setattr(torch.nn.Module, "compile", compile)
    common = ("-w", str(workspace), "--rounds", "2", "--no_memory", "--compile", "--device", "cpu", "--quiet")
    assert main(["training", "-o", str(tmp_path / "out"), *common]) == 0
    document = json.loads((tmp_path / "out" / "training.json").read_text())
    rows = document["rows"]
    assert [row["who"] for row in rows] == ["teachers", "student"] * 3 + ["paper's teachers", "paper's student"]
    assert [row["warm_up_s"] is None for row in rows] == [True] * 2 + [False] * 2 + [True] * 4
    assert [tuple(row["input"]) for row in rows[4:]] == [(32, 32, 32)] * 4
    assert list(rows[0]["parts_ms"]) == ["augment", "teachers", "backward"]
    assert list(rows[1]["parts_ms"]) == ["load", "augment", "teachers", "student", "backward"]
    assert list(rows[7]["parts_ms"]) == ["teachers", "student", "backward"]
    for row in rows:
        assert row["step_ms"]["median"] > 0
        assert row["flops"] > 0
    ours, papers = (sum(r["step_ms"]["median"] / r["samples"] for r in part) for part in (rows[4:6], rows[6:]))
    speed, flops, parameters, share = (verdict["value"] for verdict in document["verdicts"])
    assert speed == pytest.approx(papers / ours)
    assert flops == pytest.approx(rows[7]["flops"] / rows[5]["flops"])
    assert parameters == rows[5]["parameters"]
    assert share == pytest.approx(document["real"]["resident_seconds"] / document["real"]["real_seconds"])
    assert len(compiled) == 3 + (1 + 4 * 3)  # teachers of two tracers and the dose, the student, its own four sets
    said = capsys.readouterr().out
    assert "teachers of the student: cross_fitted, its own set and 3 that each left out one more fold" in said
    assert "compiled student: a step takes" in said
