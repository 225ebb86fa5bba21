"""A tiny plan and synthetic preprocessed cases: class 1 has a brighter lesion, in CT a little, in PET plainly."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reactkd_auto.cases import CaseProperties, PreprocessedCase, write_case
from reactkd_auto.dataset import Channel, Dataset, Region, write_dataset
from reactkd_auto.fingerprint import Fingerprint, write_fingerprint
from reactkd_auto.plan import (
    AugmentationPlan,
    DosePlan,
    EncoderPlan,
    GraphPlan,
    LocaliserPlan,
    NetworkPlan,
    Normalisation,
    Plan,
    TrainingPlan,
    write_plan,
)
from reactkd_auto.regions.slots import node_slots
from reactkd_auto.splits import Splits, write_splits

PATCH, CONTEXT = (8, 16, 16), (1, 2, 2)
STORED = tuple(p + 2 * c for p, c in zip(PATCH, CONTEXT, strict=True))
LEVELS = (0.1, 0.5)


@dataclass(frozen=True)
class Cohort:
    """A preprocessed dataset in a workspace."""

    workspace: Path
    plan: Plan
    dataset: Dataset

    @property
    def cases(self) -> Path:
        return self.workspace / "preprocessed" / "Dataset001_Tiny" / "cases"

    @property
    def results(self) -> Path:
        return self.workspace / "results" / "Dataset001_Tiny" / "auto"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_dataset(*, tracers: int = 1, base: str = "ct") -> Dataset:
    channels = (Channel("CT", base), *(Channel(f"PET{i}", "pet_suv") for i in range(tracers)))
    regions = (Region("organ", 1, "organ"), Region("lesion", 2, "lesion"))
    return Dataset("Tiny", channels, ("benign", "malignant"), regions)


def tiny_plan(dataset: Dataset) -> Plan:
    ct = Normalisation("ct", -200.0, 300.0, 0.0, 100.0, 1.0)
    mask = Normalisation("binary_mask", 0.0, 1.0, 0.5, 0.5, 1.0)
    pet = Normalisation("pet_suv", 0.0, 20.0, 1.0, 1.0, 0.01)
    schemes = {"ct": ct, "binary_mask": mask, "pet_suv": pet}
    return Plan(
        dataset="Tiny",
        name="auto",
        device="cpu",
        seed=0,
        spacing_mm=(4.0, 2.0, 2.0),
        patch_size=PATCH,
        context_voxels=CONTEXT,
        batch_size=2,
        normalisation={c.name: schemes[c.role] for c in dataset.channels},
        network=NetworkPlan(((1, 2, 2), (2, 2, 2)), EncoderPlan(8, (1, 1)), EncoderPlan(8, (1, 1)), 8, (0, 1)),
        graph=GraphPlan(True, True, (1, 1, 1), 2, "none", 5.0, True, (), 65.0, 20.0),
        dose=DosePlan(dataset.base.role == "ct", (0.05, 1.0), LEVELS if dataset.base.role == "ct" else ()),
        structure_function_teacher=len(dataset.channels) > 1,
        localiser=LocaliserPlan(True, (8.0, 8.0, 8.0), (8, 8, 8)),
        augmentation=AugmentationPlan(15.0, 0.1, 3.0, (2,)),
        class_balance="balanced_sampling",
        folds=2,
        training=TrainingPlan(100, 2, 2, 1.0, 1e-3, 1e-2, 0.9),  # teachers are as long as the student
        zoomed_cases=(),
        gpu_memory_gb=8.0,
        splits_hash="",
        fingerprint_hash="",
    )


@pytest.fixture
def make_properties() -> Callable[..., CaseProperties]:
    """Properties of a case of the tiny dataset."""

    def make(case: str, label: int | None, *, nodes: int = 0, present: tuple[bool, ...] = (True,), **more: object):
        values: dict[str, object] = {
            "case": case,
            "patient": case,
            "label": label,
            "present": present,
            "spacing_mm": (4.0, 2.0, 2.0),
            "zoom": 1.0,
            "origin_mm": (0.0, 0.0, 0.0),
            "direction": (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
            "original_size": (20, 20, 10),
            "original_spacing_mm": (2.0, 2.0, 4.0),
            "original_origin_mm": (0.0, 0.0, 0.0),
            "original_direction": (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0),
            "node_valid": (False,) * nodes,
            "node_geometry": ((0.0,) * 6,) * nodes,
            "node_voxels": (0,) * nodes,
            "edges": ((0.0,) * nodes,) * nodes,
        }
        return CaseProperties(**(values | more))

    return make


@pytest.fixture
def make_case(make_properties) -> Callable[..., PreprocessedCase]:
    """An organ with one lesion, brighter in class 1, whose place depends on the number."""

    def make(number: int, label: int | None, dataset: Dataset, plan: Plan, *, tracers: bool = True):
        rng = np.random.default_rng(number)
        slots = [s.kind for s in node_slots(plan.graph, dataset)]
        organ, lesion = slots.index("organ"), slots.index("lesion")
        nodes = np.zeros((3, *STORED), dtype=np.uint8)
        nodes[0, 2:-2, 4:-4, 4:-4] = organ + 1
        y, x = rng.integers(6, 10, 2)
        nodes[0, 4:7, y : y + 5, x : x + 5] = lesion + 1
        grade = rng.integers(0, 2) if label is None else label
        inside = nodes[0] == lesion + 1
        image = np.zeros((len(dataset.channels), *STORED), dtype=np.int16)
        if dataset.base.role == "ct":
            image[0] = rng.normal(40, 20, STORED) + 15 * grade * inside
        else:
            image[0] = nodes[0] > 0
        image[1:] = (rng.normal(100, 20, image[1:].shape) + 400 * grade * inside).clip(0) * tracers
        valid = np.full(STORED, (1 << len(dataset.channels)) - 1 if tracers else 1, dtype=np.uint8)
        valid[-1] = 0
        levels = plan.dose.levels
        noise = rng.normal(0, 100, (2 if levels else 0, *STORED)).astype(np.int16)
        ratio = np.stack([np.full(STORED, round(1000 * np.log((1 / a - 1) ** 0.5)), np.int16) for a in levels] or
                         [np.zeros(STORED, np.int16)])[: len(levels)]  # fmt: skip
        coarse = np.zeros((2, 10, 7, 9), dtype=np.int16)
        coarse[0] = rng.normal(40, 20, coarse[0].shape)
        coarse[1, 2:8, 2:6, 2:7], coarse[1, 3:6, 3:5, 3:5] = 1, 2
        edges = np.zeros((len(slots), len(slots)))
        edges[organ, lesion] = edges[lesion, organ] = 0.5
        properties = make_properties(
            f"case_{number:02d}",
            label,
            nodes=len(slots),
            present=(True, *(tracers for _ in dataset.channels[1:])),
            node_valid=tuple(i in (organ, lesion) for i in range(len(slots))),
            edges=tuple(map(tuple, edges.tolist())),
            noise_levels=levels,
            original_size=(36, 28, 20),
        )
        return PreprocessedCase(properties, image, valid, nodes, noise, ratio, coarse)

    return make


@pytest.fixture(scope="session")
def written_cohorts(tmp_path_factory) -> Callable[..., Path]:
    """Folder of preprocessed datasets, each kind written once."""
    root = tmp_path_factory.mktemp("cohorts")
    return lambda *kind: root / "_".join(map(str, kind))


@pytest.fixture
def make_cohort(make_case, tmp_path, written_cohorts) -> Callable[..., Cohort]:
    """8 graded cases and 2 ungraded ones; the last graded and the last ungraded lack the tracers."""

    def make(
        *, tracers: int = 1, base: str = "ct", localiser: bool = False, folds: int = 2, workspace: Path | None = None
    ):
        dataset = tiny_dataset(tracers=tracers, base=base)
        splits = Splits(0, folds, {f"case_{i:02d}": i % folds for i in range(8)} | {"case_08": -1, "case_09": -1})
        plan = replace(tiny_plan(dataset), folds=folds, splits_hash=splits.hash)
        plan = replace(plan, localiser=replace(plan.localiser, enabled=localiser))
        kept = written_cohorts(tracers, base, localiser, folds)
        if not kept.exists():
            for i in range(10):
                label = i // 2 % 2 if i < 8 else None
                write_case(kept / "cases", make_case(i, label, dataset, plan, tracers=i not in (7, 9)))
            write_dataset(kept, dataset)
            write_plan(kept / "plan.json", plan)
            write_splits(kept, splits)
            write_fingerprint(kept, Fingerprint(dataset.name, ()))
        cohort = Cohort(workspace or tmp_path / "workspace", plan, dataset)
        shutil.copytree(kept, cohort.cases.parent)
        return cohort

    return make
