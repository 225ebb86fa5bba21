"""One training step in its parts, to be timed: of this package's teachers and student, and of the paper's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reactkd_auto.networks import Teachers, compile_branches
from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.preprocessing.batch import centre_window
from reactkd_auto.training import student_stage, teachers_stage
from reactkd_auto.training.loader import Arrays
from reactkd_auto.training.run import Run
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.shares import weighted_sum
from reactkd_auto.training.tutors import Tutors
from reactkd_auto.training.views import training_views

from .measuring import Work
from .paper_networks import PaperStudent, PaperTeacher
from .resident import random_arrays
from .scene import Scene

Who = Literal["teachers", "student", "paper's teachers", "paper's student"]
OWN: tuple[Who, ...] = ("teachers", "student")
PAPER: tuple[Who, ...] = ("paper's teachers", "paper's student")
FOLD = 0


class Learner:
    """A module with its optimiser, and a loss that is made first and learnt from then."""

    def __init__(self, module: nn.Module, loss: Callable[[Arrays], Tensor], device: torch.device) -> None:
        self.module, self.loss, self.device = module, loss, device
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(self.parameters, lr=1e-4)
        self.value: Tensor | None = None

    def forward(self, arrays: Arrays) -> None:
        """Everything up to the loss."""
        with mixed_precision(self.device):
            self.value = self.loss(arrays)

    def backward(self) -> None:
        """Gradients and one step of the optimiser."""
        assert self.value is not None
        self.optimiser.zero_grad(set_to_none=True)
        self.value.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.value = None


class Prompted:
    """Teachers that are asked ahead where a step is timed in parts, and by the step itself otherwise."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self.ask, self.said = ask, None

    def ahead(self, *asked: Any) -> None:
        """Ask now; the next answer is this one."""
        self.said = self.ask(*asked)

    def answer(self, *asked: Any) -> Any:
        """What they said ahead, once; else what they say now."""
        said, self.said = self.said, None
        return self.ask(*asked) if said is None else said


@dataclass(frozen=True)
class Step:
    """One step of one learner.

    Attributes:
        learner: What learns.
        arrays: A batch that lies on the device.
        rest: Name of what the forward pass is beside other parts.
        inside: Parts of the forward pass that are also done apart, by name.
        before: Parts that the next forward pass leaves out if they were done, by name.
    """

    learner: Learner
    arrays: Arrays
    rest: Literal["teachers", "student"]
    inside: Mapping[str, Work]
    before: Mapping[str, Work]

    @property
    def samples(self) -> int:
        """In a batch."""
        return len(self.arrays["names"])

    def works(self) -> dict[str, Work]:
        """What is timed, each relying on those before it."""
        forward = {"forward": lambda: self.learner.forward(self.arrays)}
        return {**self.inside, **self.before, **forward, "backward": self.learner.backward}

    def learn_from(self, arrays: Arrays) -> None:
        """A whole step on a batch of the planned shape."""
        self.learner.forward(arrays)
        self.learner.backward()


@dataclass(frozen=True)
class StepOf:
    """A step that can be made in any process."""

    who: Who
    scene: Scene

    def make(self) -> Step:
        """The step on a batch that is on the device already."""
        run = self.scene.run()
        return _BUILDERS[self.who](run, random_arrays(run.plan, run.dataset, seed=run.seed, device=run.device))

    def prepare(self) -> Work:
        """A whole step on that batch; see `measuring.Preparation`."""
        step = self.make()
        return lambda: step.learn_from(step.arrays)


def teachers_step(run: Run, arrays: Arrays) -> Step:
    """Teachers learn: augmentation and dose noise included."""
    task = teachers_stage.new_task(run, (FOLD,), ())
    return Step(_own_learner(run, task), arrays, "teachers", _augment(run, arrays), {})


def student_step(run: Run, arrays: Arrays) -> Step:
    """The student learns from teachers that see the same samples, cross-fitted where the run is."""
    tutors = _tutors(run, arrays)
    task: Any = student_stage.new_task(run, FOLD, tutors, ())
    task.tutors = prompted = Prompted(tutors.answer)
    views, graph, _ = _views(run, arrays)

    def teach() -> None:
        with mixed_precision(run.device):
            prompted.ahead(views, graph, arrays["names"])

    return Step(_own_learner(run, task), arrays, "student", _augment(run, arrays), {"teachers": teach})


def _tutors(run: Run, arrays: Arrays) -> Tutors:
    """Teachers with initial weights, as many sets as the run's mode wants; the resident samples' folds take turns."""

    def teachers() -> Teachers:
        made = teachers_stage.answering(teachers_stage.new_teachers(run), run.device)
        if run.compile:
            compile_branches(made)
        return made

    others = [next(g for g in pair if g != FOLD) for pair in run.teacher_sets(FOLD)[1:]]
    folds = others or [FOLD]
    resident = {name: folds[i % len(folds)] for i, name in enumerate(arrays["names"])}
    return Tutors(teachers(), {fold: teachers() for fold in others}, run.splits.assignment | resident)


def _own_learner(run: Run, task: Any) -> Learner:
    if run.compile:
        compile_branches(task.module)

    def loss(arrays: Arrays) -> Tensor:
        return weighted_sum(task.step(task.prepare(arrays, _moment(run))), task.weights)

    return Learner(task.module, loss, run.device)


def _augment(run: Run, arrays: Arrays) -> dict[str, Work]:
    return {"augment": lambda: _views(run, arrays)}


def _views(run: Run, arrays: Arrays) -> Any:
    return training_views(arrays, _moment(run), plan=run.plan, dataset=run.dataset, device=run.device, doses=1)


def _moment(run: Run) -> Moment:
    return Moment(run.seed, 0, 0, 0, 0.5)


def paper_teachers_step(run: Run, arrays: Arrays) -> Step:
    """The paper's two encoders learn from labels."""
    teacher = PaperTeacher(len(run.dataset.classes)).to(run.device)
    image = _modalities(run, arrays)
    learner = Learner(teacher, lambda given: _cross_entropy(teacher(image), given), run.device)
    return Step(learner, arrays, "teachers", {}, {})


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

    prompted = Prompted(teach)

    def loss(given: Arrays) -> Tensor:
        taught, answer = prompted.answer(), student(image[:, :1])
        divergence = nn.functional.kl_div(answer.log_softmax(1), taught.softmax(1), reduction="batchmean")
        return _cross_entropy(answer, given) + divergence

    return Step(Learner(student, loss, device), arrays, "student", {}, {"teachers": prompted.ahead})


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
