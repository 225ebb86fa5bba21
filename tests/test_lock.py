"""One process a folder, and nothing of killed ones left in it."""

import os
import signal
import subprocess
import sys

import pytest

from reactkd_auto.errors import UserError
from reactkd_auto.lock import locked

HOLD = """
import sys, time
from pathlib import Path
from reactkd_auto.jsonio import atomic_path
from reactkd_auto.lock import locked

folder = Path(sys.argv[1])
with locked(folder, "room"), atomic_path(folder / "room" / "half.json") as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder and is in the middle of a file."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_and_leaves_the_files_of_the_first_alone(tmp_path, holder):
    with pytest.raises(UserError, match="another process"), locked(tmp_path, "room"):
        pass
    assert len(list((tmp_path / "room").iterdir())) == 1


def test_leftovers_of_a_killed_process_are_removed_though_it_is_still_in_the_process_table(tmp_path, holder):
    """Where nobody waits for a killed process, as in many containers, its number stays taken."""
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    os.kill(holder.pid, 0)
    (tmp_path / "kept.json").touch()
    with locked(tmp_path, "room"):
        assert list((tmp_path / "room").iterdir()) == []
    assert (tmp_path / "kept.json").exists()


def test_a_folder_that_cannot_be_made_or_takes_no_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"file: not a folder that can be made \(File exists\)"),
        locked(tmp_path / "file"),
    ):
        pass
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match=r"takes no file \(Is a directory\), expected a folder to write in"):
        with locked(tmp_path):
            pass
