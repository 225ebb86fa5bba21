"""All cases of a run: overlapping in this process, or spread over processes of this machine or a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from reactkd_auto.device import choose_device
from reactkd_auto.execution import BYTES_PER_WORKER, CaseFailure, Execution, free_bytes, map_cases, overlapped
from reactkd_auto.inference.case_prediction import CaseSteps, Wanted
from reactkd_auto.inference.exported.backends import Backend
from reactkd_auto.inference.inputs import InputCase
from reactkd_auto.inference.model import LoadedModel, load_model
from reactkd_auto.inference.results import CaseResult, write_result
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.progress import track

IN_MEMORY = 3
"""Cases in memory where reading, network and writing overlap."""

logger = logging.getLogger(__name__)


def predict_cases(
    cases: Sequence[InputCase], model: LoadedModel, output: Path, wanted: Wanted, execution: Execution
) -> list[CaseResult]:
    """Predict cases; in their order. However it is carried out, the answers are the same.

    With the engine ``local`` and one worker (or None) this process does all: while the network answers about one case
    the next one is read and the last one written, as far as there is memory for three. More workers are processes, each
    with the model loaded once. With ``ray`` every worker process has the model loaded once, and a device of its own
    where the model is on CUDA.

    Args:
        cases: To be predicted.
        model: On the device.
        output: Folder of the run.
        wanted: What is asked.
        execution: Engine and workers.

    Raises:
        UserError: An answer cannot be written, or the engine is not there.
    """
    if execution.engine == "local" and (execution.workers or 1) == 1:
        return list(track(_here(cases, model, output, wanted), what="predict", total=len(cases), quiet=execution.quiet))
    task = partial(
        _predict_elsewhere, model=_Recipe(model.path, model.folds, model.device.type, model.backend), output=output
    )
    results = []
    for case, result in map_cases(
        partial(task, wanted=wanted),
        cases,
        execution=execution,
        devices=1 if model.device.type == "cuda" else 0,
        what="predict",
        name=lambda c: c.case,
    ):
        if isinstance(result, CaseFailure):
            results.append(CaseResult("", case.case, "failed", reason=result.sentence))
            write_result(output, results[-1])
        else:
            results.append(result)
    return results


def _here(cases: Sequence[InputCase], model: LoadedModel, output: Path, wanted: Wanted) -> Iterator[CaseResult]:
    steps = CaseSteps(model, output, wanted)
    roomy = len(cases) > 1 and free_bytes() > IN_MEMORY * BYTES_PER_WORKER
    return overlapped(cases, steps.read, steps.answer, steps.write, overlap=roomy)


@dataclass(frozen=True)
class _Recipe:
    """How another process loads the model."""

    folder: Path
    folds: tuple[int, ...]
    device: str
    backend: Backend


def _predict_elsewhere(case: InputCase, *, model: _Recipe, output: Path, wanted: Wanted) -> CaseResult:
    return CaseSteps(_loaded(model), output, wanted)(case)


@lru_cache(maxsize=1)
def _loaded(model: _Recipe) -> LoadedModel:
    """Once a process: workers live as long as the run."""
    device = choose_device(model.device)
    return load_model(ModelFolder(model.folder), folds=list(model.folds), device=device, backend=model.backend)
