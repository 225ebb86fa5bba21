"""Memory does not grow with the number of slices; a full disk is one sentence."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.cts import SPACING, read_hu, trunk, write_ct
from tests.pipeline import command

MEBIBYTE = 2**20


def peak_anonymous_bytes(*arguments: object) -> int:
    """Largest memory of a command that no file backs: mapped scratch files are the system's to drop."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
            peak = max(peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")))
        except (OSError, TypeError):  # between its last breath and `poll`
            pass
        time.sleep(0.01)
    assert process.returncode == 0, process.stderr.read()
    return peak


def long_ct(path: Path, slices: int, size: int, pixel: float) -> Path:
    return write_ct(path, np.concatenate([trunk(20, size, pixel=pixel)] * (slices // 20)), spacing=(pixel, pixel, 1.0))


def growth(folder: Path, few: int, many: int, *, size: int, pixel: float) -> int:
    peaks = []
    for slices in (few, many):
        path = long_ct(folder / f"{slices}.nii.gz", slices, size, pixel)
        out = folder / f"out{slices}"
        peaks.append(peak_anonymous_bytes("reactkd_degrade", "-i", path, "-o", out, "--dose", 0.1, "--device", "cpu"))
        assert read_hu(out / f"{slices}_dose010.nii.gz").shape == (slices, size, size)
    return peaks[1] - peaks[0]


def test_ten_times_the_slices_take_no_more_memory(tmp_path):
    """The longer CT is 11 MiB larger as integers, 22 MiB as float32."""
    assert growth(tmp_path, 40, 400, size=128, pixel=SPACING[0]) < 8 * MEBIBYTE


@pytest.mark.slow
@pytest.mark.parametrize(("size", "pixel", "most"), [(128, SPACING[0], 12), (512, 0.8, 20)])
def test_two_thousand_slices_take_no_more_memory_than_a_hundred(tmp_path, size, pixel, most):
    """They are 60 and 950 MiB larger as integers."""
    assert growth(tmp_path, 100, 2000, size=size, pixel=pixel) < most * MEBIBYTE


def test_a_full_disk_ends_with_one_sentence(tmp_path):
    write_ct(tmp_path / "a.nii.gz", trunk(8))
    done = subprocess.run(
        [
            *("bash", "-c", 'ulimit -f 100; trap "" XFSZ; exec "$0" "$@"'),
            *command("reactkd_degrade", "-i", tmp_path / "a.nii.gz", "-o", tmp_path / "out", "--quiet"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".gz", ".html") or p.name.startswith(".tmp")]
