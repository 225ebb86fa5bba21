"""`reactkd_benchmark inference` on a small phantom."""

import json

import pytest

from reactkd_auto.commands.benchmark.command import main
from tests.inference.conftest import plan_for_tests, write_model


def test_the_table_has_every_part_and_honest_ratios(tmp_path, capsys):
    model = write_model(tmp_path / "model", plan_for_tests(), folds=1)
    options = ("--size", "24", "64", "64", "--rounds", "2", "--in_a_row", "2", "--no_memory", "--device", "cpu")
    assert main(["inference", "-o", str(tmp_path / "out"), "-m", str(model.path), *options, "--quiet"]) == 0
    found = json.loads((tmp_path / "out" / "inference.json").read_text(encoding="utf-8"))["result"]
    assert list(found["parts"]) == ["hash", "read and check", "localise", "check, crop, classify", "write and draw"]
    assert all(part["n"] == 2 for part in found["parts"].values())
    ours = sum(part["median"] for part in found["parts"].values())
    alone = found["alone"]["read"]["median"] + found["alone"]["resample by B-splines"]["median"]
    total = found["comparison"]["total"]
    assert total["low"] <= total["median"] <= total["high"]
    assert total["median"] == pytest.approx(ours / alone, rel=0.5)
    network = found["comparison"]["network"]
    passes = found["network_ms"]
    assert network["median"] == pytest.approx(
        passes["paper's student"]["median"] / passes["student"]["median"], rel=0.5
    )
    said = capsys.readouterr().out
    assert "times faster than the paper's student" in said
    assert "target ≤ 2" in said
