"""TotalSegmentator as an external command: never imported, its failures in one sentence.

Wasserthal et al., Radiology: Artificial Intelligence 2023, doi 10.1148/ryai.230024. Version 2 or newer. It writes one
binary mask a class, ``CLASS.nii.gz`` on the CT's grid; its numbers in one map (``--ml``) differ between versions.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from reactkd_auto.errors import UserError
from reactkd_auto.imageio import ImageFault, read_regions, same_grid, write_image

COMMAND = "TotalSegmentator"
INSTALL = (
    "install it into an environment of its own (python -m venv ts && ts/bin/pip install TotalSegmentator) and put its "
    "bin folder on PATH, or take --using supervoxels"
)
_NIFTI = (".nii", ".nii.gz")
_LONGEST_WORDS = 200


def find_command() -> str | None:
    """Path of the executable, or None where it is not installed."""
    return shutil.which(COMMAND)


@dataclass(frozen=True)
class TotalSegmentator:
    """The command and how to run it.

    Attributes:
        executable: Its path.
        device: ``gpu`` (which falls back on the CPU where there is none) or ``cpu``.
        fast: The 3 mm model instead of the 1.5 mm one.
        timeout_s: After which a run is given up.
    """

    executable: str
    device: str
    fast: bool
    timeout_s: float

    def segment(self, path: Path, ct: sitk.Image, classes: Sequence[str]) -> dict[str, sitk.Image]:
        """Masks of some classes on a CT.

        Args:
            path: File of the CT.
            ct: The same, as it is stored.
            classes: As TotalSegmentator calls them.

        Returns:
            uint8, 0 or 1, on the CT's grid, by class; empty where the CT does not show it.

        Raises:
            UserError: It can't be started, fails, takes too long, or writes no such mask.
        """
        with tempfile.TemporaryDirectory(prefix="reactkd_totalsegmentator_") as scratch:
            given, out = path, Path(scratch) / "masks"
            if not path.name.endswith(_NIFTI):
                given = Path(scratch) / "ct.nii.gz"
                write_image(given, ct)
            words = self._run(given, out, classes, Path(scratch) / "log.txt")
            return {name: _read_mask(path, out / f"{name}.nii.gz", ct, words) for name in classes}

    def _run(self, ct: Path, out: Path, classes: Sequence[str], log: Path) -> str:
        """Run it to its end; returns its last words."""
        options = ["--roi_subset", *classes, "--device", self.device, *(["--fast"] if self.fast else [])]
        command = [self.executable, "-i", str(ct.resolve()), "-o", str(out), *options]
        with log.open("wb") as file:
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
                )
            except OSError as error:
                raise UserError(f"{self.executable}: could not be started ({error.strerror}); {INSTALL}.") from None
            try:
                code = process.wait(self.timeout_s)
            except subprocess.TimeoutExpired:
                raise UserError(
                    f"{ct.name}: {COMMAND} was not done after {self.timeout_s / 60:g} minutes; give more with "
                    "--timeout_minutes, or take --fast."
                ) from None
            finally:
                _end(process)
        words = last_words(log.read_text(encoding="utf-8", errors="replace"))
        if code:
            reason = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise UserError(f"{ct.name}: {COMMAND} failed ({reason}): {words}")
        return words


def last_words(log: str) -> str:
    """The last line that says something: of a traceback the error, of a progress bar its last state."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", log) if line.strip()]
    if not lines:
        return "it said nothing."
    return lines[-1] if len(lines[-1]) <= _LONGEST_WORDS else f"{lines[-1][:_LONGEST_WORDS]} …"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, with those that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _read_mask(ct: Path, path: Path, grid: sitk.Image, words: str) -> sitk.Image:
    if not path.is_file():
        raise UserError(f"{ct.name}: {COMMAND} wrote no {path.name}; it said: {words}")
    try:
        mask = read_regions(path, [1])
    except ImageFault as fault:
        raise UserError(f"{ct.name}: of {COMMAND}, {fault}") from None
    if not same_grid(grid, mask) or not np.allclose(grid.GetDirection(), mask.GetDirection(), atol=1e-3):
        raise UserError(f"{ct.name}: {COMMAND} wrote {path.name} on another grid than the CT's, expected the same.")
    return mask
