"""Running the console scripts as a user does, in a process of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
SHORT = ("--epochs", "2", "--iterations", "2", "--teachers", "in_sample")


def command(*arguments: object) -> list[str]:
    """The command line with the console script of this environment."""
    name, *rest = map(str, arguments)
    return [str(SCRIPTS / name), *rest]


def run(*arguments: object, cwd: Path | None = None, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a console script to its end and check its exit code."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, cwd=cwd, env=_environment(), timeout=900
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done


def kill_when(reached: Callable[[], bool], *arguments: object) -> bool:
    """Start a console script, ``kill -9`` it and its children once ``reached``; False if it finished before that."""
    process = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        if reached():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    assert process.poll() is not None, "the command hangs"
    return False


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}
