"""Killed in the middle and started again: the same bytes; nothing half-written ever has its final name."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from reactkd_auto.planning import degrade_ct
from reactkd_auto.planning.degrade.results import CtResult, finished_result, write_result
from tests.cts import trunk, write_ct
from tests.pipeline import kill_when, run

DOSES = ("--dose", 0.25, 0.1)


def degrade(folder: Path, out: Path) -> tuple[object, ...]:
    return ("reactkd_degrade", "-i", folder, "-o", out, *DOSES, "--device", "cpu")


def digests(out: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(out.glob("[!.]*.nii.gz"))}


@pytest.fixture(scope="module")
def cts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cts")
    write_ct(folder / "first.nii.gz", trunk(3))
    write_ct(folder / "second.nii.gz", trunk(60))
    return folder


def test_killed_in_the_second_ct_and_repeated(cts, tmp_path):
    out = tmp_path / "out"

    def halfway() -> bool:
        growing = list(out.glob(".tmp*_second_dose010.nii.gz"))
        return bool(growing) and growing[0].stat().st_size > 200_000

    assert kill_when(halfway, *degrade(cts, out))
    assert sorted(digests(out)) == ["first_dose010.nii.gz", "first_dose025.nii.gz"]
    assert not (out / "report.html").exists()
    assert len(list(out.glob(".tmp*"))) == 3  # the unpacked CT and two results
    kept = {p.name: p.stat().st_mtime_ns for p in out.glob("[!.]*.nii.gz")}

    said = run(*degrade(cts, out)).stderr
    assert "first: finished before, kept." in said
    assert "second: finished before" not in said
    assert not list(out.glob(".tmp*"))
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept

    uninterrupted = tmp_path / "uninterrupted"
    run(*degrade(cts, uninterrupted))
    assert digests(out) == digests(uninterrupted)
    assert len(digests(out)) == 4


def test_finished_cts_are_kept_until_something_changes(tmp_path, caplog):
    write_ct(tmp_path / "a.nii.gz", trunk(2))

    def again(**options: object) -> bool:
        caplog.clear()
        with caplog.at_level("INFO", logger="reactkd_auto"):
            degrade_ct(tmp_path / "a.nii.gz", tmp_path / "out", **{"doses": [0.1], "quiet": True, **options})
        return "finished before, kept" in caplog.text

    assert not again()
    assert again()
    write_ct(tmp_path / "a.nii.gz", (trunk(2) + np.int16(1)))
    assert not again()


def test_a_result_counts_only_for_the_same_question_and_with_its_images(tmp_path):
    result = CtResult("key", "a", "degraded", files=("a_dose010.nii.gz",))
    write_result(tmp_path, result)
    assert finished_result(tmp_path, "a", "key") is None
    (tmp_path / "a_dose010.nii.gz").touch()
    assert finished_result(tmp_path, "a", "key") == result
    assert finished_result(tmp_path, "a", "other key") is None
    assert finished_result(tmp_path, "b", "key") is None
    write_result(tmp_path, CtResult("key", "a", "failed", "because"))
    assert finished_result(tmp_path, "a", "key") is None
    (tmp_path / "cases" / "a.json").write_text("{}")
    assert finished_result(tmp_path, "a", "key") is None
