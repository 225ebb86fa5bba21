"""`reactkd_benchmark training` on a small planned cohort."""

import json

import pytest
import torch

from reactkd_auto.commands.benchmark import training
from reactkd_auto.commands.benchmark.command import main
from reactkd_auto.commands.benchmark.resident import random_arrays
from reactkd_auto.regions.slots import node_slots
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


@pytest.mark.slow
def test_the_table_has_every_learner_and_honest_ratios(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "PAPER_INPUT", (32, 32, 32))
    run("reactkd_make_demo_dataset", "-w", tmp_path, "--cases", 10, "--ungraded", 0, "--tests", 0)
    run("reactkd_plan_and_preprocess", "-w", tmp_path, "--device", "cpu", "--quiet")
    common = ("-w", str(tmp_path), "--rounds", "2", "--no_memory", "--device", "cpu", "--quiet")
    assert main(["training", "-o", str(tmp_path / "out"), *common]) == 0
    document = json.loads((tmp_path / "out" / "training.json").read_text())
    rows = document["rows"]
    assert [row["who"] for row in rows] == ["teachers", "student"] * 2 + ["paper's teachers", "paper's student"]
    assert [tuple(row["input"]) for row in rows[2:]] == [(32, 32, 32)] * 4
    for row in rows:
        assert row["step_ms"]["median"] > 0
        assert row["flops"] > 0
    ours, papers = (sum(r["step_ms"]["median"] / r["samples"] for r in part) for part in (rows[2:4], rows[4:]))
    assert document["verdicts"][0]["value"] == pytest.approx(papers / ours)
    assert document["verdicts"][1]["value"] == pytest.approx(rows[5]["flops"] / rows[3]["flops"])
    assert document["verdicts"][2]["value"] == rows[3]["parameters"]
    assert "paper's student" in capsys.readouterr().out
