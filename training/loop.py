"""The one training loop. Teachers, student and localiser differ in their step and their batches only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from reactkd_auto.errors import Interrupted, UserError
from reactkd_auto.networks.precision import mixed_precision
from reactkd_auto.progress import track
from reactkd_auto.ranks import ALONE, Ranks
from reactkd_auto.training.checkpoint import TrainingState, read_state, write_state
from reactkd_auto.training.ema import Ema
from reactkd_auto.training.journal import Journal
from reactkd_auto.training.schedule import Schedule, learning_rate
from reactkd_auto.training.seeding import Moment
from reactkd_auto.training.shares import Share, shares, weighted_sum
from reactkd_auto.training.stop import StopRequest

logger = logging.getLogger(__name__)

BatchT = TypeVar("BatchT")
BatchT_contra = TypeVar("BatchT_contra", contravariant=True)
InputsT = TypeVar("InputsT")
GRADIENT_NORM = 1.0
TOKENS = "tokens"
"""What networks call their parameters that stand in for a missing channel."""


class Task(Protocol[BatchT_contra, InputsT]):
    """What a stage trains and how.

    A batch is learnt from in parts. All parts are prepared before the first is learnt from, because a mean over what
    counts (graded samples, valid nodes) is one over the whole batch, and which samples count is known by then.
    """

    @property
    def module(self) -> nn.Module:
        """Everything that is trained or saved with it; on the device, in training mode."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each loss in the sum that is minimised, which is told as ``loss``; a task of one loss calls it that."""

    def prepare(self, part: BatchT_contra, moment: Moment) -> InputsT:
        """What the networks are given of a part: all that is drawn and made without them, and without gradients."""

    def counts(self, inputs: InputsT) -> dict[str, Tensor]:
        """How much a part counts in the mean of each loss, scalars; of losses over all samples alike: nothing."""

    def step(self, inputs: InputsT) -> dict[str, Tensor]:
        """Losses of one part: scalars."""

    def watch(self, average: nn.Module) -> dict[str, float]:
        """Figures of the EMA weights on held-out cases (names begin with ``held_out_``); they select nothing."""


@dataclass(frozen=True)
class Job(Generic[BatchT]):
    """One stage of one fold.

    Attributes:
        task: What is trained.
        schedule: How long and how fast.
        batches: Stream of batches from a given iteration (over all epochs) on; of several ranks, this one's shares.
        split: Parts of a batch that are held at once, with their numbers of samples; their gradients are summed.
        folder: Where ``latest.pt``, ``metrics.csv`` and ``progress.png`` go.
        title: What log lines call it.
        seed, stage: Keys of its random numbers.
        settings: Identity of the run; a state with others is not continued.
        device: Where the task's module is.
        ranks: Who shares the batches; every rank runs the same job, the leading one writes and watches.
        watch_every: Epochs between two looks at held-out cases.
        quiet: No progress bar.
    """

    task: Task[BatchT, Any]
    schedule: Schedule
    batches: Callable[[int], Generator[BatchT, None, None]]
    split: Callable[[BatchT], Sequence[tuple[BatchT, int]]]
    folder: Path
    title: str
    seed: int
    stage: int
    settings: dict[str, object]
    device: torch.device
    ranks: Ranks = ALONE
    watch_every: int = 1
    quiet: bool = True


def train_stage(job: Job[BatchT], stop: StopRequest) -> nn.Module:
    """Train, or continue, a stage to its end.

    Several ranks learn from their shares of each batch, each in parts; the steps, the losses and the weights are those
    of one process that learns from all of it at once, up to rounding, except that losses which compare samples see each
    part's own, and that running statistics follow part by part.

    Returns:
        The module with the EMA weights, in evaluation mode.

    Raises:
        UserError: The loss is not a finite number, or ``latest.pt`` is not of this run.
        Interrupted: A signal came; ``latest.pt`` was written.
    """
    loop = _Loop(job)
    loop.resume()
    if loop.state.iteration < job.schedule.total:
        loop.run(stop)
    return loop.ema.module


class _Loop(Generic[BatchT]):
    def __init__(self, job: Job[BatchT]) -> None:
        self.job = job
        self.path = job.folder / "latest.pt"
        self.module = job.task.module
        self.ema = Ema(self.module, decay=job.schedule.ema_decay)
        self.optimiser = torch.optim.AdamW(_groups(self.module, job.schedule.weight_decay), lr=0.0)
        self.journal = Journal(job.folder, title=job.title, epochs=job.schedule.epochs)
        self.state = TrainingState(settings=dict(job.settings))
        self.sums: dict[str, Tensor] = {}
        self.signal: int | None = None  # that some rank has received; all heed it after the same iteration

    def resume(self) -> None:
        state = read_state(self.path, dict(self.job.settings))
        if state is None:
            return
        self.module.load_state_dict(state.model)
        self.ema.module.load_state_dict(state.ema)
        self.optimiser.load_state_dict(state.optimiser)
        self.sums = {name: torch.tensor(value, device=self.job.device) for name, value in state.sums.items()}
        self.state = state
        if 0 < state.iteration < self.job.schedule.total:
            logger.info(
                "%s: continues after %d of %d iterations.", self.job.title, state.iteration, self.job.schedule.total
            )

    def run(self, stop: StopRequest) -> None:
        with closing(self.job.batches(self.state.iteration)) as batches:
            while self.state.iteration < self.job.schedule.total:
                self.run_epoch(batches, stop)
                self.finish_epoch()
                self.stop_if_asked()

    def run_epoch(self, batches: Iterator[BatchT], stop: StopRequest) -> None:
        """The iterations of the current epoch that are left."""
        state, iterations = self.state, self.job.schedule.iterations
        began = time.perf_counter() - state.seconds
        rest = range(state.iteration % iterations, iterations)
        for i in track(rest, what=self.job.title, quiet=self.job.quiet):
            asked = time.perf_counter()
            batch = next(batches)
            state.waiting += time.perf_counter() - asked
            self.iterate(batch, stop)
            state.seconds = time.perf_counter() - began
            if self.signal is not None and i + 1 < iterations:
                self.save()
                self.stop_if_asked()

    def stop_if_asked(self) -> None:
        if self.signal is not None:
            total = self.job.schedule.total
            raise Interrupted.by(self.signal, f"after {self.state.iteration} of {total} iterations of {self.job.title}")

    def iterate(self, batch: BatchT, stop: StopRequest) -> None:
        schedule, iteration = self.job.schedule, self.state.iteration
        epoch, within = divmod(iteration, schedule.iterations)
        moment = Moment(self.job.seed, self.job.stage, epoch, within, iteration / schedule.total)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(iteration, schedule.total, schedule.learning_rate)
        self.optimiser.zero_grad(set_to_none=True)
        self.learn_from(batch, moment)
        self.agree(stop)
        nn.utils.clip_grad_norm_(self.module.parameters(), GRADIENT_NORM)
        self.optimiser.step()
        self.ema.update(self.module, iteration)
        self.state.iteration += 1

    def learn_from(self, batch: BatchT, moment: Moment) -> None:
        """Gradients of a batch, part by part; each rank is given its share of every batch."""
        ranks, task, parts = self.job.ranks, self.job.task, self.job.split(batch)
        sizes = [samples for _, samples in parts]
        firsts = accumulate(sizes[:-1], initial=ranks.rank * sum(sizes))
        moments = [replace(moment, first=first, samples=sum(sizes) * ranks.count) for first in firsts]
        with ranks.sharing():
            with torch.no_grad():
                inputs = [task.prepare(part, at) for (part, _), at in zip(parts, moments, strict=True)]
                weighed = shares(sizes, [task.counts(i) for i in inputs])
            for part, share, at in zip(inputs, weighed, moments, strict=True):
                self.add(part, share, at)

    def add(self, inputs: Any, share: Share, moment: Moment) -> None:
        """Add a part's gradients, and what its losses add to the epoch's sums."""
        torch.manual_seed(moment.torch_seed("network"))
        with mixed_precision(self.job.device):
            losses = share.of(self.job.task.step(inputs))
        losses = {"loss": weighted_sum(losses, self.job.task.weights), **losses}
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().float()
        losses["loss"].backward()

    def agree(self, stop: StopRequest) -> None:
        """All ranks go on with the mean of their gradients, or stop together.

        A parameter that no rank's samples have reached stays without a gradient, as in one process.
        """
        ranks, trained = self.job.ranks, [p for p in self.module.parameters() if p.requires_grad]
        # Elsewhere looking would wait for the device: once an epoch is enough.
        broken = self.job.device.type == "cpu" and bool(self.broken())
        signal, any_broken, *reached = ranks.largest(
            [stop.received or 0, broken, *(p.grad is not None for p in trained)]
        )
        self.signal = signal or None
        if any_broken:
            self.check_finite()
        together = [p for p, some in zip(trained, reached, strict=True) if some]
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in together]
        for parameter, gradient in zip(together, ranks.mean(own), strict=True):
            parameter.grad = gradient

    def broken(self) -> list[str]:
        """Losses that are not finite."""
        return [name for name, value in self.sums.items() if not bool(torch.isfinite(value))]

    def check_finite(self) -> None:
        """Raise on every rank if a loss of any rank is not finite. The ranks' sums become their means."""
        self.sums = dict(zip(self.sums, self.job.ranks.mean(list(self.sums.values())), strict=True))
        broken = self.broken()
        if broken:
            epoch = self.state.iteration // self.job.schedule.iterations + 1
            raise UserError(
                f"{self.job.title}, epoch {epoch}: the loss is not a finite number ({', '.join(broken)}), expected "
                f"one; {self.path} keeps the last good state. Look for broken values in the images, or plan anew."
            )

    def finish_epoch(self) -> None:
        self.check_finite()
        state, iterations = self.state, self.job.schedule.iterations
        epoch = state.iteration // iterations
        row = {"epoch": float(epoch), **{n: float(v) / iterations for n, v in self.sums.items()}}
        row["learning_rate"] = self.optimiser.param_groups[0]["lr"]
        row |= {"seconds": state.seconds, "waiting_seconds": state.waiting}
        leads, watched = self.job.ranks.leads, epoch % self.job.watch_every == 0 or epoch == self.job.schedule.epochs
        if leads and watched:
            row |= self.job.task.watch(self.ema.module)
        state.history.append(row)
        self.sums, state.seconds, state.waiting = {}, 0.0, 0.0
        self.save()
        if leads:
            self.journal.record(state.history)

    def save(self) -> None:
        self.check_finite()
        if not self.job.ranks.leads:
            return
        self.state.model = self.module.state_dict()
        self.state.ema = self.ema.module.state_dict()
        self.state.optimiser = self.optimiser.state_dict()
        self.state.sums = {name: float(value) for name, value in self.sums.items()}
        write_state(self.path, self.state)


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels; none for biases, norms and what stands in for a missing channel."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    decays = {name: p.ndim > 1 and name.rpartition(".")[2] != TOKENS for name, p in trained.items()}
    return [
        {"params": [p for name, p in trained.items() if decays[name]], "weight_decay": weight_decay},
        {"params": [p for name, p in trained.items() if not decays[name]], "weight_decay": 0.0},
    ]
