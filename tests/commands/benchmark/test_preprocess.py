"""`reactkd_benchmark preprocess`: sums over cases and rounds, and the command on a small planned cohort."""

import json

import pytest

from reactkd_auto.commands.benchmark.command import main
from reactkd_auto.commands.benchmark.measuring import Spread
from reactkd_auto.commands.benchmark.preprocess import Scaling, compare
from reactkd_auto.commands.benchmark.preprocess_work import Measured
from reactkd_auto.planning.command import main as plan
from tests.planning.raw_cohort import make_raw


def test_the_ratio_is_that_of_whole_rounds_not_of_single_cases():
    rounds = [
        [
            Measured("a", {"read": 1.0, "write": 1.0}, {"read": 1.0}),
            Measured("b", {"read": 6.0, "write": 0.0}, {"read": 3}),
        ],
        [
            Measured("a", {"read": 2.0, "write": 2.0}, {"read": 1.0}),
            Measured("b", {"read": 7.0, "write": 1.0}, {"read": 3}),
        ],
    ]
    found = compare(rounds)
    assert (found.ratio.low, found.ratio.high, found.ratio.n) == (2.0, 3.0, 2)
    assert found.ours.n == found.reference.n == 4
    assert found.ours_steps == {"read": 4.0, "write": 1.0}


def test_start_up_is_left_out_of_scaling():
    scaling = Scaling(2, one=Spread.of([10.0]), several=Spread.of([7.0]), start_up=Spread.of([2.0]))
    assert scaling.times == pytest.approx(2.0)


def test_the_command_measures_every_case_against_simpleitk(tmp_path, capsys):
    make_raw(tmp_path)
    assert plan(["-w", str(tmp_path), "--device", "cpu", "--workers", "1", "--quiet"]) == 0
    arguments = ["-w", str(tmp_path), "-o", str(tmp_path / "out"), "--rounds", "2", "--workers", "1", "--quiet"]
    assert main(["preprocess", *arguments]) == 0
    document = json.loads((tmp_path / "out" / "preprocess.json").read_text())
    found = document["comparison"]
    assert document["cases"] == 6
    assert (found["ratio"]["n"], found["ours"]["n"]) == (2, 12)
    assert set(found["ours_steps"]) == {"hash", "read and check", "measure", "read again", "preprocess", "write"}
    assert set(found["reference_steps"]) == {"read", "resample", "write"}
    assert found["ratio"]["low"] <= found["ratio"]["median"] <= found["ratio"]["high"]
    assert "times SimpleITK's processor time; target ≤ 1.5" in capsys.readouterr().out


def test_a_dataset_without_a_plan_is_one_sentence(tmp_path, capsys):
    make_raw(tmp_path)
    assert main(["preprocess", "-w", str(tmp_path), "-o", str(tmp_path / "out"), "--quiet"]) == 2
    assert "run reactkd_plan_and_preprocess first" in capsys.readouterr().err
