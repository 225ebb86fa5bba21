"""Many CTs: parts of a run side by side, one of them killed; worker processes; a cluster."""

import csv
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from reactkd_auto.inference.command import main
from tests.inference.conftest import write_cohort
from tests.pipeline import command

CASES = 6


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> tuple[Path, Path]:
    images, regions = write_cohort(tmp_path_factory.mktemp("many"))
    for number in range(2, CASES):
        shutil.copy(images / "b.nii.gz", images / f"b{number}.nii.gz")
        shutil.copy(regions / "b.nii.gz", regions / f"b{number}.nii.gz")
    return images, regions


def options(many: tuple[Path, Path], output: Path, model, *more: str) -> list[str]:
    images, regions = many
    given = ["-i", images, "-r", regions, "-o", output, "-m", model.path, "--device", "cpu", "--no_explanation"]
    return [*map(str, given), "--quiet", *more]


def table(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(many, model, tmp_path_factory) -> list[dict[str, str]]:
    output = tmp_path_factory.mktemp("whole") / "out"
    assert main(options(many, output, model)) == 0
    return table(output)


def test_of_two_parts_side_by_side_one_is_killed_and_no_case_is_lost(many, model, whole, tmp_path):
    output = tmp_path / "out"
    cases = output / "cases"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    parts = [
        subprocess.Popen(
            command("reactkd_predict", *options(many, output, model, "--num_parts", "2", "--part_id", str(k))),
            env=environment,
        )
        for k in (0, 1)
    ]
    shares = (["a", "b2", "b4"], ["b", "b3", "b5"])
    deadline = time.monotonic() + 120
    while not any((cases / f"{case}.json").exists() for case in shares[1]):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    parts[1].send_signal(signal.SIGKILL)
    parts[1].wait()
    assert parts[0].wait(120) == 0
    assert all((cases / f"{case}.json").exists() for case in shares[0])
    assert not (output / "predictions.csv").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in cases.glob("*.json")}
    assert main(options(many, output, model)) == 0
    assert table(output) == whole
    assert all((cases / name).stat().st_mtime_ns == when for name, when in kept.items())


@pytest.mark.slow
def test_processes_of_this_machine_give_the_same_answers(many, model, whole, tmp_path):
    assert main(options(many, tmp_path / "out", model, "--workers", "2")) == 0
    assert table(tmp_path / "out") == whole


@pytest.mark.slow
def test_a_cluster_gives_the_same_answers(many, model, whole, tmp_path):
    pytest.importorskip("ray")
    assert main(options(many, tmp_path / "out", model, "--engine", "ray", "--workers", "2")) == 0
    assert table(tmp_path / "out") == whole


def parent_of(process: int) -> int:
    """0 where it has ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def descends(process: int, ancestor: int) -> bool:
    while process > 1 and process != ancestor:
        process = parent_of(process)
    return process == ancestor


def at_a_case(process: int) -> bool:
    """Whether it is a worker of Ray with a case in hand; Ray writes that into its command line."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::_apply")
    except (FileNotFoundError, ProcessLookupError):
        return False


def stopped_at_a_case(run: int) -> int | None:
    """A worker of a run, stopped with a case in hand."""
    for process in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()):
        if at_a_case(process) and descends(process, run):
            os.kill(process, signal.SIGSTOP)
            if at_a_case(process):
                return process
            os.kill(process, signal.SIGCONT)  # it was done just then
    return None


@pytest.mark.slow
def test_a_worker_of_a_cluster_is_killed_at_a_case_and_no_case_is_lost(many, model, whole, tmp_path):
    pytest.importorskip("ray")
    output = tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    run = subprocess.Popen(
        command("reactkd_predict", *options(many, output, model, "--engine", "ray", "--workers", "2")), env=environment
    )
    try:
        deadline, worker = time.monotonic() + 240, None
        while worker is None:
            assert time.monotonic() < deadline
            assert run.poll() is None
            time.sleep(0.002)
            if any((output / "cases").glob("*.json")):
                worker = stopped_at_a_case(run.pid)
        done = len(list((output / "cases").glob("*.json")))
        os.kill(worker, signal.SIGKILL)
        assert run.wait(240) == 0
    finally:
        run.terminate()
        run.wait(60)
    assert done < CASES
    assert table(output) == whole


def test_a_part_leaves_answers_only_and_says_what_comes_next(many, model, tmp_path, capsys):
    assert main(options(many, tmp_path / "out", model, "--num_parts", "3", "--part_id", "1")) == 0
    assert sorted(p.stem for p in (tmp_path / "out" / "cases").glob("*.json")) == ["b", "b4"]
    assert not (tmp_path / "out" / "report.html").exists()
    assert "without --num_parts" in capsys.readouterr().out


def test_a_part_that_is_none_is_refused(many, model, tmp_path, capsys):
    assert main(options(many, tmp_path / "out", model, "--num_parts", "2", "--part_id", "2")) == 2
    assert main(options(many, tmp_path / "out", model, "--num_parts", "2")) == 2
    error = capsys.readouterr().err
    assert "--part_id 2: expected 0…1" in error
    assert "expected --part_id with it" in error
