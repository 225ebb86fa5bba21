"""A whole-body CT of 512 × 512 × 1200 voxels through the command line, in memory that a workstation has."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.imageio.streaming import NiftiWriter, Placement
from tests.pipeline import command

SIZE = (1200, 512, 512)
PLACE = Placement((0.98, 0.98, 1.5), (-250.0, -250.0, -900.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
MOST_GIB = 8
"""Measured: 6.1 with explanation and pictures."""
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def _write(path: Path, lesion: bool) -> None:
    y, x = np.indices(SIZE[1:]) * 0.98
    body = ((y - 250) / 120) ** 2 + ((x - 250) / 180) ** 2 < 1
    noise = np.random.default_rng(0).normal(40, 20, SIZE[1:])
    with NiftiWriter(path, SIZE, np.uint8 if lesion else np.int16, PLACE) as file:
        for z in range(SIZE[0]):
            plane = np.where(body, np.roll(noise, 7 * z, 0), -1000)
            if lesion:
                plane = np.zeros(SIZE[1:])
                if 740 <= z < 760:
                    plane[240:270, 240:270] = 2
            file.write(plane)


@pytest.mark.slow
def test_a_whole_body_ct_is_answered_and_explained(model, tmp_path):
    (tmp_path / "in").mkdir()
    _write(tmp_path / "in" / "body_0000.nii.gz", lesion=False)
    _write(tmp_path / "regions.nii.gz", lesion=True)
    options = ("-i", tmp_path / "in", "-r", tmp_path / "regions.nii.gz", "-o", tmp_path / "out", "-m", model.path)
    line = command("reactkd_predict", *options, "--device", "cpu", "--quiet")
    done = subprocess.run([sys.executable, "-c", MEASURE, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) / 2**20 < MOST_GIB
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "classified"
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / "out" / "explanation" / "body_explanation.nii.gz"))
    reader.ReadImageInformation()
    assert reader.GetSize() == SIZE[::-1]
