"""The same bytes whichever engine did the work."""

import pytest

from reactkd_auto.planning.command import main
from tests.planning.raw_cohort import FOLDER, WITH_CT, make_raw


def plan(workspace, *options):
    assert main(["-w", str(workspace), "--device", "cpu", "--quiet", *options]) == 0
    out = workspace / "preprocessed" / FOLDER
    files = [*sorted((out / "cases").iterdir()), *(out / f"{name}.json" for name in ("plan", "fingerprint", "splits"))]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_a_ray_cluster_processes_and_one_process_give_the_same_bytes(tmp_path):
    pytest.importorskip("ray", reason="ray isn't installed")
    ways = {"one": ("--workers", "1"), "two": ("--workers", "2"), "ray": ("--engine", "ray", "--workers", "2")}
    for name in ways:
        make_raw(tmp_path / name, 4, dataset=WITH_CT)
    results = {name: plan(tmp_path / name, *options) for name, options in ways.items()}
    assert len(results["one"]) >= 4 * 2 + 3
    assert results["two"] == results["one"]
    assert results["ray"] == results["one"]
