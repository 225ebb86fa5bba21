"""Options against what is installed and what dataset.json says: one sentence each."""

from pathlib import Path

import pytest

from reactkd_auto.dataset import Region
from tests.dataset_conversion.region_making.maskless import with_regions
from tests.dataset_conversion.region_making.running import maps, run

LIVER = Region("liver", 1, "organ")
MISTAKES = {
    "no tool": ([], ["--using", "totalsegmentator", "--organs", "liver"], "no command TotalSegmentator on PATH"),
    "organs without the tool": ([], ["--organs", "liver"], "pip install TotalSegmentator"),
    "supervoxels beside organs": ([LIVER], [], "names liver, expected no organ or lesion beside supervoxels"),
    "another number": (
        [Region(f"supervoxel_{i}", i, "context") for i in range(1, 5)],
        ["--supervoxels", "8"],
        "names 4 supervoxels, expected 8 as asked; give --supervoxels 4",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.usefixtures("without_tool")
def test_a_mistake_is_one_sentence_and_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    regions, options, words = MISTAKES[name]
    with_regions(folder, *regions)
    before = (folder / "dataset.json").read_bytes()
    assert run(folder, *options) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("reactkd_make_regions: ")
    assert words in said
    assert (folder / "dataset.json").read_bytes() == before
    assert maps(folder) == {}


@pytest.mark.parametrize(
    ("regions", "options", "words"),
    [
        ([], [], "--organs: none given"),
        ([Region("liver", 1, "context")], ["--organs", "liver"], "has role context, expected organ as asked"),
        ([], ["--organs", "a=b+b"], "expected each once"),
        ([], ["--organs", "../x=liver"], "may hold only letters"),
        ([], ["--organs", "x=--all"], "is no class of TotalSegmentator"),
        ([Region("supervoxel_1", 1, "context"), Region("supervoxel_2", 2, "context")], ["--organs", "liver"], "delete"),
        ([Region(f"r{i}", i, "context") for i in range(1, 256)], ["--organs", "liver"], "255 regions"),
    ],
)
@pytest.mark.usefixtures("calls")
def test_options_that_contradict_dataset_json_are_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], regions: list[Region], options: list[str], words: str
) -> None:
    with_regions(folder, *regions)
    assert run(folder, *options) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
    assert maps(folder) == {}
