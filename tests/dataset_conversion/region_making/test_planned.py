"""Made regions are regions: planning gives them nodes, a localiser only where there is an organ to learn."""

from pathlib import Path

import numpy as np
import pytest

from reactkd_auto.cases import finished_cases, read_case, read_properties
from reactkd_auto.dataset import read_dataset
from reactkd_auto.dataset_conversion.region_making.make import make_regions
from reactkd_auto.plan import Plan, read_plan
from reactkd_auto.planning.command import main
from reactkd_auto.regions.slots import node_slots
from tests.dataset_conversion.region_making.maskless import NAME, write_cohort
from tests.dataset_conversion.region_making.stand_in import install, prepare


def planned(workspace: Path) -> tuple[Path, Plan]:
    assert main(["-w", str(workspace), "--device", "cpu", "--workers", "1", "--patch_size", "16", "32", "32"]) == 0
    out = workspace / "preprocessed" / NAME
    return out, read_plan(out / "plan.json")


def test_supervoxels_are_the_nodes_of_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_cohort(tmp_path, tests=0)
    make_regions(workspace=tmp_path, using="supervoxels", supervoxels=4, workers=1, quiet=True)
    out, plan = planned(tmp_path)
    assert "100% of the cases have a context region" in capsys.readouterr().out
    assert (plan.graph.enabled, plan.localiser.enabled) == (True, False)
    slots = node_slots(plan.graph, read_dataset(folder))
    assert [s.name for s in slots] == [f"supervoxel_{i}" for i in range(1, 5)]
    cases = out / "cases"
    assert finished_cases(cases) == ["a0", "a1", "a2", "a3"]
    for case in finished_cases(cases):
        properties = read_properties(cases, case)
        assert properties.node_valid == (True,) * 4
        assert not any("No organ or lesion region" in flag for flag in properties.flags)
        assert (np.array(properties.edges) > 0).sum() >= 2 * 3, "neighbours touch"
        layers = read_case(cases, properties).nodes
        assert {1, 2, 3, 4} <= set(np.unique(layers[0]))


def test_an_organ_by_the_tool_is_a_node_with_a_localiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_cohort(tmp_path, tests=0)
    install(tmp_path / "bin")
    prepare(tmp_path / "bin", sorted((folder / "imagesTr").iterdir()))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    make_regions(workspace=tmp_path, organs=["liver"], context=["spleen"], quiet=True)
    dataset = read_dataset(folder)
    _, plan = planned(tmp_path)
    assert (plan.graph.enabled, plan.localiser.enabled) == (True, True)
    assert {"organ", "spleen"} <= {s.name for s in node_slots(plan.graph, dataset)}
