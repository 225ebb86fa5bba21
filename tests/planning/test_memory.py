"""Peak memory of one case."""

import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from reactkd_auto.dataset import Channel, Dataset, LabelledCase, Region, write_dataset, write_labels
from tests.conftest import ROOT

DATASET = Dataset(
    "Large",
    (Channel("CT", "ct"), Channel("FDG", "pet_suv"), Channel("ACE", "pet_suv")),
    ("low", "high"),
    (Region("liver", 1, "organ"), Region("lesion", 2, "lesion")),
)
CHILD = """
import sys
from pathlib import Path
from reactkd_auto.dataset import read_dataset, read_labels
from reactkd_auto.imageio import load_case
from reactkd_auto.planning.fingerprint import measure_case
from reactkd_auto.preprocessing import resample, noise
from reactkd_auto.regions import rings

raw, small = Path(sys.argv[1]), sys.argv[2] == "small"
if small:
    for module in (resample, noise, rings):
        module.MOST_VOXELS = 2**17
def peak():
    (line,) = (l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
dataset = read_dataset(raw)
before = peak()
for row in read_labels(raw / "labelsTr.csv", dataset.classes):
    measure_case(load_case(raw, dataset, row.case), dataset, row, input_hash="")
print(before, peak())
"""


def write_raw(folder, size):
    """One case with lesions at both ends, so that no box round them is smaller than the CT."""
    depth, rows, columns = size
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (4, rows, columns))
    y, x = np.indices((rows, columns)) * (2 / np.array([rows, columns]).reshape(2, 1, 1)) - 1
    body = np.where(y**2 + x**2 < 0.5, 40, -1000)
    ct = np.stack([np.rint(body + noise[z % 4]).astype(np.int16) for z in range(depth)])
    regions = np.zeros(size, np.uint8)
    regions[depth // 3 : depth // 2, rows // 3 : rows // 2, columns // 3 : columns // 2] = 1
    for z in (2, depth - 8):
        regions[z : z + 5, rows // 2 : rows // 2 + 6, columns // 2 : columns // 2 + 6] = 2
    pet = np.abs(rng.normal(1, 0.2, (depth // 3, 200, 200))).astype(np.float32)
    spacing = (1.0, 420 / rows, 420 / columns)
    write_dataset(folder, DATASET)
    for index, (array, mm) in enumerate([(ct, spacing), (pet, (3.0, 2.1, 2.1)), (pet, (3.0, 2.1, 2.1))]):
        write_image(folder / "imagesTr" / f"a_000{index}.nii.gz", array, mm)
    write_image(folder / "regionsTr" / "a.nii.gz", regions, spacing)
    write_labels(folder / "labelsTr.csv", [LabelledCase("a", "p", 0)], DATASET.classes)


def write_image(path, array, spacing):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])
    sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)


def peak_bytes(raw, size):
    """Before and at the peak of measuring, in a process of its own."""
    command = [sys.executable, "-c", CHILD, str(raw), size]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, peak = map(int, done.stdout.split()[-2:])
    return before, peak


@pytest.mark.slow
def test_a_ct_of_1200_slices_with_two_pets_is_measured_in_less_than_6_gb(tmp_path):
    write_raw(tmp_path, (1200, 512, 512))
    assert peak_bytes(tmp_path, "full")[1] < 6e9


def test_measuring_takes_no_more_than_18_bytes_of_each_voxel(tmp_path):
    write_raw(tmp_path / "short", (60, 256, 256))
    write_raw(tmp_path / "long", (180, 256, 256))
    short, long = (peak_bytes(tmp_path / name, "small")[1] for name in ("short", "long"))
    assert long - short < 18 * 120 * 256 * 256 + 2 * 4 * 4 * 40 * 200 * 200
