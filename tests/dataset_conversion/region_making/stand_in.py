"""A stand-in for the command TotalSegmentator: its options, its files and its failures, without its networks.

Masks are made beforehand (`prepare`), so that the command starts in no time.
"""

import json
import sys
from pathlib import Path

import SimpleITK as sitk

RANGES = {"liver": (60, 89), "spleen": (90, 119), "kidney_left": (120, 149), "kidney_right": (150, 179)}
"""HU from … to of each organ of `maskless.trunk`."""
SCRIPT = r"""#!@python@ -IS
import argparse, json, os, shutil, subprocess, sys, time
from pathlib import Path
parser = argparse.ArgumentParser(prog="TotalSegmentator")
parser.add_argument("-i", dest="input", type=Path, required=True)
parser.add_argument("-o", dest="output", type=Path, required=True)
parser.add_argument("-rs", "--roi_subset", nargs="+")
parser.add_argument("-f", "--fast", action="store_true")
parser.add_argument("-d", "--device", default="gpu")
options = parser.parse_args()
settings = json.loads(Path(__file__).with_suffix(".json").read_text())
with open(settings["calls"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\n")
print("\nIf you use this tool please cite: https://pubs.rsna.org/doi/10.1148/ryai.230024\n")
name = options.input.name
if name.startswith(tuple(settings["hangs"])):
    child = subprocess.Popen(["sleep", "600"])
    Path(settings["child"]).write_text(str(child.pid))
    time.sleep(600)
for organ in options.roi_subset:
    settings["ranges"][organ]
if name.startswith(tuple(settings["fails"])):
    sys.stderr.write("Predicting:  50%|###\rPredicting: 100%|######\n")
    raise RuntimeError("CUDA out of memory.")
options.output.mkdir(parents=True, exist_ok=True)
masks = Path(settings["masks"]) / name
for organ in options.roi_subset:
    if organ not in settings["forgets"]:
        shutil.copy(masks / (organ + ".nii.gz"), options.output)
"""


def install(folder: Path, **settings: object) -> Path:
    """Write the command into a folder, to be put on PATH; returns the file to which it writes its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "TotalSegmentator"
    command.write_text(SCRIPT.replace("@python@", sys.executable))
    command.chmod(0o755)
    calls = folder / "calls.jsonl"
    default = {"fails": ["-"], "hangs": ["-"], "forgets": [], "child": str(folder / "child"), "ranges": RANGES}
    document = {**default, "calls": str(calls), "masks": str(folder / "masks"), **settings}
    command.with_suffix(".json").write_text(json.dumps(document))
    return calls


def prepare(folder: Path, images: list[Path], *, shift_mm: float = 0.0) -> None:
    """Make the masks that the command of a folder will write for these CTs."""
    for path in images:
        ct = sitk.ReadImage(str(path))
        target = folder / "masks" / (path.name if path.name.endswith(".nii.gz") else "ct.nii.gz")
        target.mkdir(parents=True, exist_ok=True)
        for organ, (low, high) in RANGES.items():
            mask = sitk.BinaryThreshold(ct, low, high, 1, 0)
            mask.SetOrigin([o + shift_mm for o in ct.GetOrigin()])
            sitk.WriteImage(mask, str(target / f"{organ}.nii.gz"))


def calls_of(path: Path) -> list[list[str]]:
    """The arguments of every call."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
