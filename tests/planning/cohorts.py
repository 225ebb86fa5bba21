"""Synthetic fingerprints: what measuring a cohort would have given."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from reactkd_auto.dataset import Channel, Dataset, Region
from reactkd_auto.fingerprint import QUANTILE_LEVELS, RING_WIDTHS_MM, CaseFingerprint, Fingerprint, Intensities
from reactkd_auto.plan import Plan
from reactkd_auto.planning.cohort import Cohort, summarise
from reactkd_auto.planning.plan import Frame, Overrides, make_plan, wanted_folds
from reactkd_auto.planning.rules.footprint import footprint
from reactkd_auto.planning.rules.graph import NODE_BUDGET
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.planning.splits import split

CT = Channel("CT", "ct")
FDG = Channel("FDG", "pet_suv")
MR = Channel("T1", "mr")
LESION = Region("tumour", 1, "lesion")
ORGAN = Region("liver", 2, "organ")
CPU = Hardware("cpu")


def new_dataset(channels: Sequence[Channel] = (CT, FDG), regions: Sequence[Region] = (LESION,), **more: Any) -> Dataset:
    return Dataset("Synthetic", tuple(channels), more.pop("classes", ("low", "high")), tuple(regions), **more)


def intensities(lower: float = -100.0, upper: float = 200.0) -> Intensities:
    quantiles = tuple(lower + (upper - lower) * level for level in QUANTILE_LEVELS)
    return Intensities(1000, quantiles, (lower + upper) / 2, max((upper - lower) / 4, 0.0), upper)


def new_case(number: int = 0, dataset: Dataset | None = None, **changes: Any) -> CaseFingerprint:
    """A patient with one lesion in a box of 40 mm; ``lesions`` sets volumes and rings together."""
    dataset = dataset or new_dataset()
    lesions = tuple(changes.pop("lesions", (8000.0,)))
    ranges = {"ct": (-100.0, 200.0), "pet_suv": (0.0, 15.0), "mr": (0.0, 900.0)}
    case = CaseFingerprint(
        case=f"case_{number:05d}",
        patient=f"patient_{number:05d}",
        label=number % len(dataset.classes),
        input_hash=f"{number:016x}",
        size=(100, 512, 512),
        spacing_mm=(3.0, 0.8, 0.8),
        present=(True,) * len(dataset.channels),
        valid_fraction=(1.0,) * len(dataset.channels),
        intensities={c.name: intensities(*ranges.get(c.role, (0.0, 1.0))) for c in dataset.channels},
        region_extent_mm=(40.0, 40.0, 40.0),
        lesion_volumes_mm3=lesions,
        ring_volumes_mm3=tuple(tuple(2 * v for v in lesions) for _ in RING_WIDTHS_MM),
        organ_volume_mm3=None,
        neighbour_distances_mm=(),
    )
    return dataclasses.replace(case, **changes)


def cohort_of(cases: Sequence[CaseFingerprint], dataset: Dataset | None = None) -> Cohort:
    return summarise(Fingerprint("Dataset001_Synthetic", tuple(cases)), dataset or new_dataset())


def plan_of(
    cases: Sequence[CaseFingerprint],
    dataset: Dataset | None = None,
    *,
    hardware: Hardware = CPU,
    **overrides: Any,
) -> Plan:
    """The plan that a cohort gets."""
    chosen = Overrides(**overrides)
    fingerprint = Fingerprint("Dataset001_Synthetic", tuple(cases))
    cohort = cohort_of(cases, dataset)
    folds, _ = wanted_folds(cohort, chosen)
    splits = split(cases, classes=len(cohort.dataset.classes), folds=folds, seed=0)
    return make_plan(Frame(fingerprint.dataset, "auto", 0, hardware), fingerprint, cohort, splits, chosen)


def sarcoma_like(count: int = 42) -> list[CaseFingerprint]:
    """Large tumours in anisotropic CT with PET and MR."""
    dataset, rng = new_dataset((CT, FDG, MR)), np.random.default_rng(0)
    extents = rng.uniform(0.2, 1.0, (count, 3)) * (145, 195, 268)
    return [
        new_case(
            i,
            dataset,
            spacing_mm=(3.27, 0.98, 0.98),
            size=(80, 250, 330),
            region_extent_mm=tuple(map(float, e)),
            lesions=(float(np.prod(e) / 2),),
            label=int(i % 3 == 0),
        )
        for i, e in enumerate(extents)
    ]


def nodule_like(count: int = 500) -> list[CaseFingerprint]:
    """Small nodules in thin CT crops."""
    dataset, rng = new_dataset((CT,)), np.random.default_rng(0)
    extents = rng.uniform(0.15, 1.0, (count, 1)) * np.ones(3) * 30
    return [
        new_case(
            i,
            dataset,
            spacing_mm=(1.25, 0.7, 0.7),
            size=(24, 70, 70),
            region_extent_mm=tuple(map(float, e)),
            lesions=(float(np.prod(e) / 2),),
        )
        for i, e in enumerate(extents)
    ]


def planned_gigabytes(plan, dataset):
    """What the plan takes, by the rule's own estimate."""
    return footprint(
        plan.network,
        plan.patch_size,
        encoders=1 + len(dataset.privileged) * plan.structure_function_teacher,
        nodes=NODE_BUDGET,
        batch=plan.batch_size,
        samples=plan.held_at_once,
        checkpointing=plan.checkpointing,
    )
