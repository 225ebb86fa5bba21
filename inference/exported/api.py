"""`export_onnx`: each fold's student as ONNX, checked against torch on a real CT."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reactkd_auto.errors import UserError
from reactkd_auto.inference.answer import answer_case, patch_batch
from reactkd_auto.inference.exported.backends import (
    Backend,
    ExportRecord,
    named_graph,
    named_inputs,
    open_runtime,
    record_path,
)
from reactkd_auto.inference.inputs import find_cases
from reactkd_auto.inference.model import LoadedModel, choose_model, load_model
from reactkd_auto.inference.reading import read_case
from reactkd_auto.jsonio import atomic_path, file_hash, write_json
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.networks import GraphInputs, Student, graph_inputs, student_channels
from reactkd_auto.preprocessing.batch import Batch
from reactkd_auto.preprocessing.normalise import normalise

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and another runtime, both in float32."""


@dataclass(frozen=True)
class Check:
    """How far another runtime is from torch on the same input.

    Attributes:
        file: What was exported.
        backend: The runtime.
        case: The CT.
        logits, probabilities: Largest absolute differences.
        maps: Likewise, relative to the largest value of the map.
    """

    file: Path
    backend: Backend
    case: str
    logits: float
    probabilities: float
    maps: float


def export_onnx(
    input: Path | str,
    *,
    model: Path | str | None = None,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    folds: Sequence[int] | None = None,
    regions: Path | str | None = None,
) -> list[Check]:
    """Write ``fold_F/student.onnx`` into the model folder, after a check against torch on the first CT of the input.

    The shapes are fixed: one patch of the plan. Inputs and outputs are named: see `named_inputs`, and ``logits``,
    ``map_0`` …, ``attention_0`` …. OpenVINO reads the same file, and is checked too where it is installed. A student
    that sees covariates is checked with all of them missing (NaN) and with all of them known.

    Args:
        input: A CT that the model classifies, as for `predict`.
        model: Model folder; None: the dataset's newest finished one.
        dataset, workspace: Where to look for it.
        folds: Folds; None: every finished one.
        regions: Region map, instead of the model's localiser.

    Returns:
        One check a fold and runtime.

    Raises:
        UserError: The extra ``onnx`` is not installed, the CT is not classified, the network cannot be exported, or a
            probability differs by more than 1e-4.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    folder = choose_model(model, dataset=dataset, workspace=workspace)
    loaded = load_model(folder, folds=None if folds is None else list(folds), device=torch.device("cpu"))
    case, batch = _real_input(Path(input), loaded, None if regions is None else Path(regions))
    inputs = _network_inputs(batch, loaded)
    checks: list[Check] = []
    for fold, student in zip(loaded.folds, loaded.students, strict=True):
        checks += _export_fold(folder, fold, student, inputs, case)
    return checks


class _Flat(nn.Module):
    """A student as a function of the tensors named ``names``, which is what a file can hold."""

    def __init__(self, student: Student, names: Sequence[str]) -> None:
        super().__init__()
        self.student = student
        self.names = tuple(names)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, tensors, strict=True))
        outputs = self.student(
            given["images"],
            given["present"],
            given["valid"],
            named_graph(given, self.student),
            covariates=given.get("covariates"),
        )
        return outputs.logits, *outputs.maps, *outputs.attention


_Inputs = tuple[Tensor, Tensor, Tensor, GraphInputs]


def _export_fold(folder: ModelFolder, fold: int, student: Student, inputs: _Inputs, case: str) -> list[Check]:
    path = folder.fold(fold) / "student.onnx"
    questions = [named_inputs(*inputs, values) for values in _covariates(student)]
    flat = _Flat(student, tuple(questions[0])).eval()
    stages = range(len(inputs[3].weights))
    names = ["logits", *(f"map_{i}" for i in stages), *(f"attention_{i}" for i in stages)]
    given = [tuple(map(torch.from_numpy, arrays.values())) for arrays in questions]
    with torch.no_grad():
        expected = [dict(zip(names, (t.numpy() for t in flat(*tensors)), strict=True)) for tensors in given]
    with atomic_path(path) as temporary:
        with _quiet():
            try:
                program = torch.onnx.export(
                    flat, given[0], dynamo=True, input_names=list(flat.names), output_names=names, verbose=False
                )
            except torch.onnx.errors.OnnxExporterError as error:
                reason = str(error).strip().splitlines()[0]
                raise UserError(f"{path}: this student cannot be written as ONNX ({reason}).") from error
        assert program is not None
        program.save(str(temporary), external_data=False)
        checks = []
        for backend in _runtimes():
            runtime = open_runtime(temporary, backend)
            found = [runtime(arrays) for arrays in questions]
            check = _largest([_compare(path, backend, case, e, f) for e, f in zip(expected, found, strict=True)])
            if not check.probabilities <= LARGEST_DIFFERENCE:
                raise UserError(
                    f"{path}: {backend} differs from torch by {check.probabilities:.2g} in a probability of {case}, "
                    f"expected at most {LARGEST_DIFFERENCE:g}; nothing was written."
                )
            checks.append(check)
    write_json(record_path(path), ExportRecord(file_hash(folder.student_weights(fold)), file_hash(path)))
    return checks


def _covariates(student: Student) -> list[Tensor | None]:
    """What a student is asked with: no covariates, or all missing and then all known."""
    if student.covariates is None:
        return [None]
    missing = student.covariates.missing(1)
    known = (student.covariates.mean + student.covariates.sd)[None].clone()
    for i, covariate in enumerate(student.covariates.covariates):
        if covariate.kind == "categorical":
            known[:, i] = len(covariate.categories) - 1
    return [missing, known]


def _runtimes() -> list[Backend]:
    return ["onnx", "openvino"] if importlib.util.find_spec("openvino") else ["onnx"]


def _compare(
    file: Path,
    backend: Backend,
    case: str,
    expected: dict[str, NDArray[np.float32]],
    found: dict[str, NDArray[np.float32]],
) -> Check:
    def probabilities(of: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.asarray(torch.softmax(torch.from_numpy(of["logits"]), dim=1).numpy())

    def apart(name: str) -> float:
        return float(np.abs(found[name] - expected[name]).max())

    maps = [apart(n) / max(float(np.abs(expected[n]).max()), 1e-12) for n in expected if n != "logits"]
    difference = float(np.abs(probabilities(found) - probabilities(expected)).max())
    return Check(file, backend, case, apart("logits"), difference, max(maps))


def _largest(checks: Sequence[Check]) -> Check:
    """The largest difference of each kind."""
    logits, probabilities, maps = (max(getattr(c, n) for c in checks) for n in ("logits", "probabilities", "maps"))
    return replace(checks[0], logits=logits, probabilities=probabilities, maps=maps)


def _real_input(given: Path, model: LoadedModel, regions: Path | None) -> tuple[str, Batch]:
    if not given.exists():
        raise UserError(f"{given}: no such file or folder, expected a CT to check the export on.")
    case = find_cases(given, model.dataset, student_channels=model.config.channels, regions=regions, quiet=True)[0]
    answer = answer_case(read_case(case, model.dataset), model, key="", explanation=False, flips=False)
    if answer.prepared is None:
        raise UserError(f"{given}: {case.case} is not classified ({answer.result.reason}), expected a CT that is.")
    return case.case, patch_batch(answer.prepared, model)


def _network_inputs(batch: Batch, model: LoadedModel) -> _Inputs:
    plan, dataset, channels = model.plan, model.dataset, model.config.channels
    selected = list(student_channels(dataset, channels))
    images = normalise(batch.image[:, selected], dataset, plan, channels=channels)
    graph = graph_inputs(batch.nodes, batch.valid, batch.node_valid, batch.node_geometry, batch.edges, plan, dataset)
    return images, batch.present[:, selected], batch.valid[:, selected], graph


def _require(*packages: str) -> None:
    if missing := [p for p in packages if importlib.util.find_spec(p) is None]:
        raise UserError(f"the package {missing[0]} is not installed; install it with: pip install 'reactkd_auto[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of torchvision, which is not needed, and of its own deprecations."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
