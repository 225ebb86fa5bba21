"""A disk that takes no more: every writer says so in one sentence and leaves nothing half-written."""

import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from reactkd_auto.cases import write_case
from reactkd_auto.errors import UserError
from reactkd_auto.networks import save_state
from tests.builders import random_case, small_dataset, small_plan
from tests.pipeline import command

SMALL = 3000


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, a write beyond ``size`` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def write_a_case(folder: Path) -> None:
    write_case(folder, random_case("a", plan=small_plan(), dataset=small_dataset()))


def write_weights(folder: Path) -> None:
    save_state(folder / "weights.safetensors", {"w": torch.rand(10_000)})


@pytest.mark.parametrize("write", [write_a_case, write_weights])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, write):
    with no_file_larger_than(SMALL), pytest.raises(UserError, match="could not be written") as error:
        write(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_command_on_a_full_disk_ends_with_one_sentence(tmp_path):
    done = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$0" "$@"'),
            *command("reactkd_make_demo_dataset", "-w", tmp_path, "--cases", 10, "--ungraded", 0, "--tests", 0),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
