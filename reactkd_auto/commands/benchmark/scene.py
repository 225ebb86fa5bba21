"""What a training step is taken on: a preprocessed cohort, at its planned patch or at another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reactkd_auto.fingerprint import read_fingerprint
from reactkd_auto.plan import Plan, Triple
from reactkd_auto.planning.cohort import summarise
from reactkd_auto.planning.plan import Frame, Overrides, make_plan
from reactkd_auto.planning.rules.hardware import Hardware
from reactkd_auto.training.opening import open_run
from reactkd_auto.training.preset import read_preset
from reactkd_auto.training.run import Run
from reactkd_auto.workspace import open_workspace

RECIPE = "auto"
"""The preset that is timed, with its own mode of teachers as far as there are folds enough."""


@dataclass(frozen=True)
class Scene:
    """What a step is taken on.

    Attributes:
        workspace, dataset, plan: Of the preprocessed cohort.
        patch: Size of the input, (z, y, x), at the planned spacing; None: as planned.
        batch: Samples; None: as planned.
        device: ``cpu`` or ``cuda``.
        seed: Of weights and samples.
        compile: Whether `torch.compile` fuses the encoders.
    """

    workspace: Path
    dataset: str | None
    plan: str
    patch: Triple | None
    batch: int | None
    device: str
    seed: int
    compile: bool = False

    def run(self) -> Run:
        """The cohort with its plan, or with one that the same rules make for the wanted input."""
        run = open_run(
            open_workspace(self.workspace),
            dataset=self.dataset,
            plan=self.plan,
            preset=read_preset(RECIPE),
            device=self.device,
            seed=self.seed,
            epochs=1,
            iterations=1,
            quiet=True,
            compile=self.compile,
        )
        return run if self.patch is None else replace(run, plan=self._plan(run))

    def _plan(self, run: Run) -> Plan:
        fingerprint = read_fingerprint(run.preprocessed)
        hardware = Hardware(run.plan.device, run.plan.gpu_memory_gb)
        overrides = Overrides(spacing_mm=run.plan.spacing_mm, patch_size=self.patch, batch_size=self.batch)
        frame = Frame(run.plan.dataset, run.plan.name, run.plan.seed, hardware)
        return make_plan(frame, fingerprint, summarise(fingerprint, run.dataset), run.splits, overrides)
