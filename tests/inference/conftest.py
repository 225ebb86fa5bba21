"""A tiny model folder with random weights, and CTs of a simulated body."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.special import softmax

from reactkd_auto.calibration import Calibration, HeldOut, fit_calibration, write_calibration
from reactkd_auto.dataset import Dataset, write_dataset
from reactkd_auto.fingerprint import CaseFingerprint, DoseMeasurement
from reactkd_auto.imageio import RawCase
from reactkd_auto.model_folder import ModelConfig, ModelFolder
from reactkd_auto.networks import build_localiser, build_student, save_weights
from reactkd_auto.plan import Plan, write_plan
from reactkd_auto.planning.properties import intensities
from reactkd_auto.planning.region_properties import regions
from tests.builders import small_dataset, small_plan, with_opinions
from tests.planning.cohorts import new_case

SIZE = (24, 40, 36)
SPACING = (2.5, 1.5, 1.5)
"""Grid of the simulated CTs, (z, y, x), mm."""
ORIGIN = (-20.0, 11.0, 300.0)
LESION_CENTRES_MM = ((28.0, 28.0, 22.0), (33.0, 33.0, 35.0))
"""(z, y, x) from the origin, the larger lesion first."""


def plan_for_tests() -> Plan:
    """Without parcels, so that lesions overlap no other node; without dose degradation, which prediction never uses."""
    plan = small_plan()
    graph = dataclasses.replace(plan.graph, parcels=(1, 1, 1))
    return dataclasses.replace(plan, graph=graph, dose=dataclasses.replace(plan.dose, enabled=False, levels=()))


def write_model(folder: Path, plan: Plan, *, folds: int = 2, dataset: Dataset | None = None) -> ModelFolder:
    """A finished model of random weights; its localisers call everything background."""
    dataset, model = dataset or small_dataset(), ModelFolder(folder)
    write_plan(folder / "plan.json", plan)
    write_dataset(folder, dataset)
    write_calibration(folder, calibration_of(dataset.classes))
    model.write_config(ModelConfig("auto", ("CT",), 0))
    for fold in range(folds):
        student = with_opinions(build_student(plan, dataset, ("CT",), seed=fold), seed=3)
        save_weights(model.student_weights(fold), student)
        if not plan.localiser.enabled:
            continue
        localiser = build_localiser(plan, dataset, seed=fold)
        with torch.no_grad():
            final = [m for m in localiser.modules() if isinstance(m, torch.nn.Conv3d) and m.bias is not None][-1]
            final.bias += torch.tensor([50.0, 0.0, 0.0])
        save_weights(model.localiser_weights(fold), localiser)
    return model


def calibration_of(classes: tuple[str, ...], cases: int = 120) -> Calibration:
    """Of answers that were three times too sure."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (cases, len(classes)))
    labels = (softmax(logits, axis=1).cumsum(1) > rng.random((cases, 1))).argmax(1)
    names = np.array([f"p{i}" for i in range(cases)], dtype=object)
    held_out = HeldOut(names, np.arange(cases) % 5, labels, softmax(3 * logits, axis=1))
    return fit_calibration(held_out, classes, seed=0)


def simulated_ct(seed: int) -> tuple[sitk.Image, sitk.Image]:
    """A body with an organ and two lesions in it: CT in HU and region map, canonical orientation."""
    z, y, x = np.indices(SIZE) * np.reshape(SPACING, (3, 1, 1, 1))
    rng = np.random.default_rng(seed)

    def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
        return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2

    body = (y - 30) ** 2 + (x - 27) ** 2 < 25**2
    organ, lesions = ball((30, 30, 27), 15), ball(LESION_CENTRES_MM[0], 5) | ball(LESION_CENTRES_MM[1], 4)
    hu = np.where(body, 30.0, -1000.0) + 60 * organ + 50 * lesions + rng.normal(0, 8, SIZE)
    regions = np.where(lesions, 2, organ.astype(int)).astype(np.uint8)
    images = sitk.GetImageFromArray(hu.astype(np.float32)), sitk.GetImageFromArray(regions)
    for image in images:
        image.SetSpacing(SPACING[::-1])
        image.SetOrigin(ORIGIN)
    return images


def measured_case(seed: int, **changes: Any) -> CaseFingerprint:
    """What planning measures on a simulated CT; its noise is told, for its homogeneous parts are small."""
    dataset = small_dataset()
    raw = RawCase("", dict(enumerate(simulated_ct(seed)[:1])), simulated_ct(seed)[1])
    noise = DoseMeasurement({}, (), None, patches=1, noise_hu=8.0)
    measured = {**intensities(raw, dataset), **regions(raw, dataset), "dose": noise}
    return new_case(seed, dataset, **measured | changes)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return write_model(tmp_path_factory.mktemp("model"), plan_for_tests())


def write_cohort(folder: Path) -> tuple[Path, Path]:
    """Folders of two CTs, stored in different orientations, and of their region maps."""
    images, regions = folder / "in", folder / "regions"
    images.mkdir()
    regions.mkdir()
    for seed, (name, direction) in enumerate((("a_0000", "LPS"), ("b", "RAS"))):
        ct, labels = simulated_ct(seed)
        sitk.WriteImage(sitk.DICOMOrient(ct, direction), str(images / f"{name}.nii.gz"))
        sitk.WriteImage(sitk.DICOMOrient(labels, direction), str(regions / f"{name[0]}.nii.gz"))
    return images, regions


@pytest.fixture
def cohort(tmp_path: Path) -> tuple[Path, Path]:
    return write_cohort(tmp_path)
