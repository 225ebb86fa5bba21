"""Folds, batches, augmentation and lengths."""

from __future__ import annotations

import math

from reactkd_auto.plan import MOST_UNGRADED, AugmentationPlan, TrainingPlan, Triple, TripleMm
from reactkd_auto.planning.cohort import Cohort
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.planning.triples import triple

FOLDS = 5
BALANCE_ABOVE = 1.5
BATCH_SIZES = {"cpu": (4, 8), "cuda": (8, 16)}
MANY_CASES = 200
ITERATIONS = {"cpu": 600, "cuda": 20_000}
EPOCHS = {"cpu": (10, 60), "cuda": (60, 300)}
EMA_HORIZON = 0.05
MOST_VIEWS = 25
"""Times that teachers see a graded case, up to whole epochs. Beyond, they learn labels by heart, wrong ones too."""


def folds(cohort: Cohort, wanted: int) -> tuple[int, str]:
    """As many as wanted, but every fold should hold out a patient of every class."""
    rarest = min(range(len(cohort.class_patients)), key=lambda k: cohort.class_patients[k])
    name, patients = cohort.dataset.classes[rarest], cohort.class_patients[rarest]
    count = max(2, min(wanted, patients))
    reason = f"grouped by patient, stratified by class; the rarest class, {name}, has {patients} patients"
    return count, reason if patients >= count else f"{reason}: too few to be judged in every fold"


def class_balance(cohort: Cohort) -> tuple[str, str]:
    """Balanced sampling where one class has over 1.5 times the patients of another."""
    counts = [n for n in cohort.class_patients if n]
    listed = ", ".join(f"{c} {n}" for c, n in zip(cohort.dataset.classes, cohort.class_patients, strict=True))
    imbalance = max(counts, default=1) / min(counts, default=1)
    if imbalance > BALANCE_ABOVE:
        return "balanced_sampling", (
            f"classes differ {imbalance:.1f} times in patients ({listed}), so each is drawn equally often"
        )
    return "none", f"classes are nearly equal in patients ({listed})"


def batch_size(cohort: Cohort, hardware: Hardware) -> tuple[int, str]:
    """Limited by the number of cases and by the rarest class, not by voxels."""
    small, large = BATCH_SIZES[hardware.device]
    wanted = small if cohort.cases < MANY_CASES else large
    counts = [n for n in cohort.class_patients if n]
    most = max(2, min(cohort.cases // 4, len(counts) * min(counts, default=2)))
    size = min(wanted, most)
    if size < wanted:
        return size, f"limited by {cohort.cases} cases, {min(counts, default=0)} patients in the rarest class"
    return size, f"{cohort.cases} cases on a {'CPU' if hardware.device == 'cpu' else 'GPU'}"


def augmentation(cohort: Cohort, spacing: TripleMm, patch: Triple) -> tuple[AugmentationPlan, str]:
    """Modest changes that keep anatomy plausible; mirrored only where left and right are alike."""
    shortest = min(s * n for s, n in zip(spacing, patch, strict=True))
    shift = round(min(max(0.05 * shortest, 1.0), 10.0), 1)
    mirror = (2,) if cohort.dataset.left_right_symmetric else ()
    why = "mirrored left to right" if mirror else "never mirrored: dataset.json does not call the body symmetric"
    return AugmentationPlan(15.0, 0.1, shift, mirror), (
        f"rotated up to 15° about z, scaled by 10 %, shifted by {shift:g} mm (5 % of the patch's shortest side); {why}"
    )


def context_voxels(augmentation: AugmentationPlan, spacing: TripleMm) -> tuple[Triple, str]:
    """Voxels stored beyond the patch on each side."""
    room = triple(math.ceil(augmentation.shift_mm / s - 1e-6) for s in spacing)
    return room, f"stored beyond the patch on each side: room for shifts of {augmentation.shift_mm:g} mm"


def training(cohort: Cohort, hardware: Hardware, batch: int, fold_count: int) -> tuple[TrainingPlan, str]:
    """Epochs that reach the device's number of iterations, within bounds."""
    held_out = math.ceil(cohort.graded_cases / fold_count)
    cases, graded_cases = max(1, cohort.cases - held_out), cohort.graded_cases - held_out
    iterations = math.ceil(cases / batch)
    fewest, most = EPOCHS[hardware.device]
    epochs = min(max(math.ceil(ITERATIONS[hardware.device] / iterations), fewest), most)
    graded_share = max(graded_cases / cases, 1 - MOST_UNGRADED)
    enough = MOST_VIEWS * graded_cases / (iterations * batch)
    teacher_epochs = max(1, math.ceil(min(graded_share * epochs, enough)))
    decay = round(min(1 - 1 / max(EMA_HORIZON * epochs * iterations, 2), 0.999), 4)
    as_often = "each as often as the student sees it"
    views = as_often if enough >= graded_share * epochs else f"each about {MOST_VIEWS} times, not to learn by heart"
    teachers = f"{teacher_epochs} epochs of graded cases alone show teachers {views}; "
    return TrainingPlan(teacher_epochs, epochs, iterations, round(graded_share, 4), 1e-3, 1e-2, decay), (
        f"an epoch sees about {cases} training cases in {iterations} batches; {epochs} epochs make "
        f"{epochs * iterations} iterations ({ITERATIONS[hardware.device]} are aimed at, by {fewest} to {most} epochs, "
        f"on a {'CPU, kept short' if hardware.device == 'cpu' else 'GPU'}); "
        f"{teachers if teacher_epochs < epochs else ''}weights are averaged over about the last "
        f"{EMA_HORIZON:.0%} of the training (EMA {decay:g})"
    )
