"""The parts of one prediction, to be timed: on a phantom whose regions are known, so that every part has its work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from reactkd_auto.execution import overlapped
from reactkd_auto.imageio import RawCase
from reactkd_auto.imageio.sources import ImageSource
from reactkd_auto.inference.answer import Answer, answer_case, patch_batch
from reactkd_auto.inference.domain import Domain
from reactkd_auto.inference.inputs import InputCase, hash_files
from reactkd_auto.inference.localise import find_regions
from reactkd_auto.inference.model import LoadedModel, load_model
from reactkd_auto.inference.reading import ReadCase, read_case
from reactkd_auto.inference.showing import show_case
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.networks import graph_inputs, student_channels
from reactkd_auto.networks.onednn import prefer_onednn
from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.preprocessing import preprocess_case
from reactkd_auto.preprocessing.batch import Batch
from reactkd_auto.preprocessing.normalise import normalise

from .measuring import Work
from .paper_networks import PaperStudent
from .phantom import FIELD_MM, trunk

SLICE_MM = 1.5
NOISE_HU = 15.0
ORGAN_MM, LESION_MM = 60.0, 15.0
"""Radii of the balls that stand for regions, in the middle of the trunk."""
PAPER_MULTIPLE = 8


class CaseWork:
    """One case, its parts ready to be done again and again.

    Args:
        model: Of one fold.
        scratch: Folder with the phantom, see `write_phantom`.
    """

    def __init__(self, model: LoadedModel, scratch: Path) -> None:
        self.model, self.scratch = accepting(model), scratch
        self.case = phantom_case(scratch, regions=False)
        self._read = read_case(phantom_case(scratch, regions=True), model.dataset)
        self._prepared = preprocess_case(self._raw, plan=model.plan, dataset=model.dataset, patient="", label=None)
        self.batch = patch_batch(self._prepared, model)
        self._answer = self._ask()

    @property
    def _raw(self) -> RawCase:
        return self._read.raw

    def parts(self) -> Mapping[str, Work]:
        """From file to pictures, by name; the localiser only where the model has one."""
        localise = {"localise": lambda: find_regions(self._raw.images[0], self.model)} if self.model.localisers else {}
        return {
            "hash": lambda: hash_files(self.case),
            "read and check": lambda: read_case(self.case, self.model.dataset),
            **localise,
            "check, crop, classify": self._ask,
            "write and draw": lambda: show_case(self.scratch / "out", self._answer, self.model),
        }

    def alone(self) -> Mapping[str, Work]:
        """SimpleITK reading the file, and resampling it whole onto the model's spacing in two ways."""
        path = str(self.case.channels[0].path)
        return {
            "read": lambda: sitk.ReadImage(path, sitk.sitkFloat32),
            "resample by B-splines": lambda: self._resampled(sitk.sitkBSpline),
            "resample linearly": lambda: self._resampled(sitk.sitkLinear),
        }

    def _ask(self) -> Answer:
        return answer_case(self._read, self.model, key="", explanation=True, flips=True)

    def _resampled(self, interpolator: int) -> sitk.Image:
        image, spacing = self._raw.images[0], self.model.plan.spacing_mm[::-1]
        size = [max(1, round(n * a / b)) for n, a, b in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
        return sitk.Resample(
            image, size, sitk.Transform(), interpolator, image.GetOrigin(), spacing, image.GetDirection(), -1000.0
        )


@dataclass(frozen=True)
class PeakOfCase:
    """All of one case, in another process."""

    model: Path
    device: str
    scratch: Path

    def prepare(self) -> Work:
        """The model is loaded first, and counts."""
        folder = ModelFolder(self.model)
        model = accepting(load_model(folder, folds=folder.finished_folds()[:1], device=torch.device(self.device)))
        return lambda: run_through(model, self.scratch, 1, overlap=False)


def accepting(model: LoadedModel) -> LoadedModel:
    """The model without limits on what it answers: the phantom is like nobody."""
    return replace(model, domain=Domain(np.empty((0, 0)), float("inf")))


def write_phantom(scratch: Path, model: LoadedModel, size: tuple[int, int, int], *, seed: int) -> None:
    """A CT of a trunk with noise, and a map that shows every region of the model's dataset in its middle."""
    slices, rows, columns = size
    assert rows == columns, "axial slices are square"
    hu = trunk(slices, rows)
    random = np.random.default_rng(seed)
    for index in range(slices):
        hu[index] += random.normal(0, NOISE_HU, (rows, columns)).astype(np.int16)
    pixel = FIELD_MM / rows
    z, y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(size, (SLICE_MM, pixel, pixel), strict=True))
    distance = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    labels = np.zeros(size, np.uint8)
    for region in sorted(model.dataset.regions, key=lambda r: r.role == "lesion"):  # lesions last, on the organ
        labels[distance < (LESION_MM if region.role == "lesion" else ORGAN_MM)] = region.value
    for name, array in (("ct_0000", hu), ("regions", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((pixel, pixel, SLICE_MM))
        sitk.WriteImage(image, str(scratch / f"{name}.nii.gz"))


def phantom_case(scratch: Path, *, regions: bool) -> InputCase:
    """The phantom as a case to predict, with or without its region map."""
    source = ImageSource((scratch / "ct_0000.nii.gz",))
    return InputCase("ct", {0: source}, scratch / "regions.nii.gz" if regions else None)


def run_through(model: LoadedModel, scratch: Path, count: int, *, overlap: bool) -> float:
    """Wall seconds a case of several CTs, read, answered and written."""
    model = accepting(model)

    def read(case: InputCase) -> ReadCase:
        hash_files(case)
        return read_case(case, model.dataset)

    def answer(_: InputCase, case: ReadCase) -> Answer:
        if model.localisers:
            find_regions(case.raw.images[0], model)
        return answer_case(case, model, key="", explanation=True, flips=True)

    def write(_: InputCase, answered: Answer) -> None:
        show_case(scratch / "out", answered, model)

    began = time.perf_counter()
    for _ in overlapped([phantom_case(scratch, regions=True)] * count, read, answer, write, overlap=overlap):
        pass
    return (time.perf_counter() - began) / count


def network_works(model: LoadedModel, batch: Batch) -> Mapping[str, Work]:
    """One pass of the student, and of the paper's on the same patch (its sides cut to multiples of 8).

    On a CPU both convolve by oneDNN: the networks are compared, not what PyTorch chooses for them.
    """
    plan, dataset, channels = model.plan, model.dataset, model.config.channels
    selected = list(student_channels(dataset, channels))
    images = normalise(batch.image[:, selected], dataset, plan, channels=channels)
    present, valid = batch.present[:, selected], batch.valid[:, selected]
    graph = graph_inputs(batch.nodes, batch.valid, batch.node_valid, batch.node_geometry, batch.edges, plan, dataset)
    paper = PaperStudent(len(dataset.classes)).to(model.device).eval()
    if model.device.type == "cpu":
        prefer_onednn(paper)
    z, y, x = (n - n % PAPER_MULTIPLE for n in images.shape[2:])
    base = images[:, :1, :z, :y, :x].contiguous()

    def run(network: torch.nn.Module, *inputs: object) -> None:
        with torch.no_grad(), mixed_precision(model.device):
            network(*inputs)

    return {
        "student": lambda: run(model.students[0], images, present, valid, graph),
        "paper's student": lambda: run(paper, base),
    }
