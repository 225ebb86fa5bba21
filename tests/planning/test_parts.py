"""A dataset preprocessed in parts, as the how-to page about clusters has it."""

import shlex
import subprocess
import sys

import pytest

from reactkd_auto.planning.command import main
from tests.conftest import ROOT
from tests.planning.raw_cohort import FOLDER, make_raw

PAGE = ROOT / "documentation" / "how-to" / "run-on-a-cluster.md"


def commands():
    """The commands of the page's example in parts: the parts, the parts again, the end."""
    block = PAGE.read_text(encoding="utf-8").partition("in two parts:")[2].partition("## Ray")[0]
    lines = [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("reactkd_")]
    assert len(lines) == 5
    return lines[:2], lines[2:4], lines[4:]


def contents(workspace):
    folder = workspace / "preprocessed" / FOLDER
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("run.json", ".lock")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.parent.name != "parts"}


def side_by_side(options, workspace):
    code = "import sys; from reactkd_auto.planning.command import main; sys.exit(main(sys.argv[1:]))"
    given = [[sys.executable, "-c", code, *o, "-w", str(workspace), "--workers", "1"] for o in options]
    running = [
        subprocess.Popen(g, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for g in given
    ]
    said = [process.communicate(timeout=600)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running), said
    return said


@pytest.mark.slow
def test_parts_side_by_side_write_the_bytes_of_an_undivided_run(tmp_path):
    measuring, preprocessing, finishing = commands()
    for name in ("parts", "whole"):
        make_raw(tmp_path / name)
    side_by_side(measuring, tmp_path / "parts")
    assert not (tmp_path / "parts" / "preprocessed" / FOLDER / "plan.json").exists()
    said = side_by_side(preprocessing, tmp_path / "parts")
    assert all("its cases are preprocessed" in words for words in said)
    (last,) = side_by_side(finishing, tmp_path / "parts")
    assert "keeping 6" in last
    side_by_side(finishing, tmp_path / "whole")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_part_says_which_parts_have_not_measured_yet_and_a_bad_case_is_no_obstacle(tmp_path, capsys):
    raw = make_raw(tmp_path)
    (raw / "imagesTr" / "case_1_0000.nii.gz").write_bytes(b"damaged")
    common = ["-w", str(tmp_path), "--device", "cpu", "--workers", "1", "--folds", "2", "--num_parts", "3"]
    assert main([*common, "--part_id", "1"]) == 3
    said = capsys.readouterr()
    assert "still to be: parts 0, 2" in said.out
    assert "1 of 2 cases" in said.err
    assert main([*common, "--part_id", "0"]) == 0
    assert main([*common, "--part_id", "2"]) == 0
    assert "its cases are preprocessed" in capsys.readouterr().out
    folder = tmp_path / "preprocessed" / FOLDER / "cases"
    assert sorted(p.stem for p in folder.glob("*.json")) == ["case_2", "case_5"]


def test_a_part_that_does_not_exist_is_refused(tmp_path, capsys):
    make_raw(tmp_path, 2)
    for options in (["--num_parts", "2", "--part_id", "2"], ["--num_parts", "2"]):
        assert main(["-w", str(tmp_path), "--device", "cpu", *options]) == 2
    assert "--part_id 2: expected 0…1" in capsys.readouterr().err
