"""One training step in its parts, to be timed: of this package's teachers and student, and of the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.plan import Triple
from reactkd_auto.planning.cohort import summarise
from reactkd_auto.planning.plan import Frame, Overrides, make_plan
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.preprocessing.batch import centre_window
from reactkd_auto.training import student_stage, teachers_stage
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run, open_run
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.training.views import training_views
from reactkd_auto.workspace import open_workspace

from .measuring import Work
from .paper_networks import PaperStudent, PaperTeacher
from .resident import random_arrays

PAPER_INPUT: Triple = (32, 96, 96)
Who = Literal["teachers", "student", "paper's teachers", "paper's student"]
_FOLD = 0


@dataclass(frozen=True)
class Step:
    """One step of one learner.

    Attributes:
        phases: What is done one after the other, by name; each relies on the one before.
        module: That learns.
        samples: In a batch.
    """

    phases: Mapping[str, Work]
    module: nn.Module
    samples: int

    def __call__(self) -> None:
        """All phases."""
        for work in self.phases.values():
            work()


@dataclass(frozen=True)
class Scene:
    """What a step is taken on.

    Attributes:
        workspace, dataset, plan: Of the preprocessed cohort.
        patch: Size of the input, (z, y, x), at the planned spacing; None: as planned.
        batch: Samples; None: as planned.
        device: ``cpu`` or ``cuda``.
        seed: Of weights and samples.
    """

    workspace: Path
    dataset: str | None
    plan: str
    patch: Triple | None
    batch: int | None
    device: str
    seed: int

    def run(self) -> Run:
        """The cohort with its plan, or with one that the same rules make for the wanted input."""
        run = open_run(
            open_workspace(self.workspace),
            dataset=self.dataset,
            plan=self.plan,
            preset=read_preset("auto"),
            teachers="in_sample",
            device=self.device,
            seed=self.seed,
            epochs=1,
            iterations=1,
            quiet=True,
        )
        return run if self.patch is None else replace(run, plan=self._plan(run))

    def _plan(self, run: Run) -> Any:
        from reactkd_auto.fingerprint import read_fingerprint

        fingerprint = read_fingerprint(run.preprocessed)
        hardware = Hardware(run.plan.device, run.plan.gpu_memory_gb)
        overrides = Overrides(spacing_mm=run.plan.spacing_mm, patch_size=self.patch, batch_size=self.batch)
        frame = Frame(run.plan.dataset, run.plan.name, run.plan.seed, hardware)
        return make_plan(frame, fingerprint, summarise(fingerprint, run.dataset), run.splits, overrides)


@dataclass(frozen=True)
class StepOf:
    """A step that can be sent to another process and made there; see `measuring.Preparation`."""

    who: Who
    scene: Scene

    def prepare(self) -> Step:
        """The step on a batch that is on the device already."""
        run = self.scene.run()
        arrays = random_arrays(run.plan, run.dataset, seed=self.scene.seed, device=run.device)
        return _BUILDERS[self.who](run, arrays)


class Learner:
    """A module with its optimiser, and a loss that is made first and learnt from then."""

    def __init__(self, module: nn.Module, loss: Callable[[], Tensor], device: torch.device) -> None:
        self.module, self.loss, self.device = module, loss, device
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=1e-4)
        self.value: Tensor | None = None

    def forward(self) -> None:
        """Everything up to the loss."""
        with mixed_precision(self.device):
            self.value = self.loss()

    def backward(self) -> None:
        """Gradients and one step of the optimiser."""
        assert self.value is not None
        self.optimiser.zero_grad(set_to_none=True)
        self.value.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.value = None


def teachers_step(run: Run, arrays: Arrays) -> Step:
    """Teachers learn: augmentation and dose noise included."""
    task = teachers_stage.new_task(run, (_FOLD,), ())
    return _own_step(run, task, arrays, {})


def student_step(run: Run, arrays: Arrays) -> Step:
    """The student learns from teachers that see the same samples."""
    teachers = teachers_stage.new_teachers(run).to(run.device).eval().requires_grad_(False)
    tutors = Tutors(teachers, {}, run.splits.assignment)
    task = student_stage.new_task(run, _FOLD, tutors, ())
    views, graph, _ = _views(run, arrays)

    def teach() -> None:
        with mixed_precision(run.device):
            tutors.answer(views, graph, arrays["names"])

    return _own_step(run, task, arrays, {"of it teachers": teach})


def _own_step(run: Run, task: Any, arrays: Arrays, more: Mapping[str, Work]) -> Step:
    learner = Learner(task.module, lambda: task.step(arrays, _moment(run))["loss"], run.device)
    phases = {"forward": learner.forward, "backward": learner.backward}
    parts = {"of it augmentation": lambda: _views(run, arrays), **more}
    return Step(parts | phases, task.module, len(arrays["names"]))


def _views(run: Run, arrays: Arrays) -> Any:
    return training_views(arrays, _moment(run), plan=run.plan, dataset=run.dataset, device=run.device, doses=1)


def _moment(run: Run) -> Moment:
    return Moment(run.seed, 0, 0, 0, 0.5)


def paper_teachers_step(run: Run, arrays: Arrays) -> Step:
    """The paper's two encoders learn from labels."""
    teacher = PaperTeacher(len(run.dataset.classes)).to(run.device)
    image = _modalities(run, arrays)
    learner = Learner(teacher, lambda: _cross_entropy(teacher(image), arrays), run.device)
    return Step({"forward": learner.forward, "backward": learner.backward}, teacher, len(image))


def paper_student_step(run: Run, arrays: Arrays) -> Step:
    """The paper's student learns from labels and from its teachers' logits."""
    classes, device = len(run.dataset.classes), run.device
    teacher = PaperTeacher(classes).to(device).eval().requires_grad_(False)
    student, image = PaperStudent(classes).to(device), _modalities(run, arrays)

    @torch.no_grad()
    def teach() -> Tensor:
        with mixed_precision(device):
            logits: Tensor = teacher(image)
            return logits

    def loss() -> Tensor:
        taught, answer = teach(), student(image[:, :1])
        divergence = nn.functional.kl_div(answer.log_softmax(1), taught.softmax(1), reduction="batchmean")
        return _cross_entropy(answer, arrays) + divergence

    learner = Learner(student, loss, device)
    phases = {"of it teachers": teach, "forward": learner.forward, "backward": learner.backward}
    return Step(phases, student, len(image))


def _modalities(run: Run, arrays: Arrays) -> Tensor:
    """CT and one other image (the CT again where there is none), in units of their spread."""
    image: Tensor = arrays["image"][(..., *centre_window(run.plan))]
    two = torch.stack([image[:, 0], image[:, -1]], 1)
    return (two - two.mean()) / two.std()


def _cross_entropy(logits: Tensor, arrays: Arrays) -> Tensor:
    return nn.functional.cross_entropy(logits.float(), arrays["label"])


_BUILDERS: dict[str, Callable[[Run, Arrays], Step]] = {
    "teachers": teachers_step,
    "student": student_step,
    "paper's teachers": paper_teachers_step,
    "paper's student": paper_student_step,
}
