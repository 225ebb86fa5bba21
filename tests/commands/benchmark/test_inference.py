"""`reactkd_benchmark inference` on a small phantom."""

import json

from reactkd_auto.commands.benchmark.command import main
from tests.inference.conftest import plan_for_tests, write_model


def lies_within_pairs_of_rounds(ratio, above, below):
    """Whatever else the machine does, a ratio of sums lies between those of the luckiest and unluckiest rounds."""
    (lowest, highest), (low, high) = (
        [sum(part[limit] for part in parts) for limit in ("low", "high")] for parts in (list(above), list(below))
    )
    return lowest / high - 1e-9 <= ratio["low"] <= ratio["median"] <= ratio["high"] <= highest / low + 1e-9


def test_the_table_has_every_part_and_honest_ratios(tmp_path, capsys):
    model = write_model(tmp_path / "model", plan_for_tests(), folds=1)
    options = ("--size", "24", "64", "64", "--rounds", "2", "--in_a_row", "2", "--no_memory", "--device", "cpu")
    assert main(["inference", "-o", str(tmp_path / "out"), "-m", str(model.path), *options, "--quiet"]) == 0
    found = json.loads((tmp_path / "out" / "inference.json").read_text(encoding="utf-8"))["result"]
    assert list(found["parts"]) == ["hash", "read and check", "localise", "check, crop, classify", "write and draw"]
    assert all(part["n"] == 2 for part in found["parts"].values())
    alone = [found["alone"][part] for part in ("read", "resample by B-splines")]
    assert lies_within_pairs_of_rounds(found["comparison"]["total"], found["parts"].values(), alone)
    passes = found["network_ms"]
    assert lies_within_pairs_of_rounds(found["comparison"]["network"], [passes["paper's student"]], [passes["student"]])
    said = capsys.readouterr().out
    assert "times faster than the paper's student" in said
    assert "target ≤ 2" in said
