"""A student whose maps come from another runtime; its readout stays in torch, so that answers can be explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reactkd_auto.errors import UserError
from reactkd_auto.jsonio import file_hash, read_document
from reactkd_auto.networks import GraphInputs, Outputs, Student
from reactkd_auto.networks.covariates import added
from reactkd_auto.networks.readout import GEOMETRY_FEATURES

Backend = Literal["torch", "onnx", "openvino"]
BACKENDS: tuple[str, ...] = get_args(Backend)
Arrays = Mapping[str, NDArray[Any]]
Runtime = Callable[[Arrays], dict[str, NDArray[np.float32]]]
"""Inputs by name → outputs by name."""


@dataclass(frozen=True)
class ExportRecord:
    """Beside ``student.onnx``: which weights it was made of, and itself.

    Attributes:
        weights: SHA-256 of the fold's ``student.safetensors``.
        onnx: SHA-256 of the file.
    """

    weights: str
    onnx: str
    schema_version: int = 1


class ExportedStudent(Student):
    """The same student, its encoder and attention run by another runtime.

    Args:
        student: With the weights that were exported.
        runtime: See `open_runtime`.
    """

    def __init__(self, student: Student, runtime: Runtime) -> None:
        super().__init__(
            branch=student.branch,
            cbam=student.cbam,
            readout=student.readout,
            presence=student.presence,
            covariates=student.covariates,
        )
        self.runtime = runtime

    def forward(
        self, images: Tensor, present: Tensor, valid: Tensor, graph: GraphInputs, *, covariates: Tensor | None = None
    ) -> Outputs:
        """As `Student.forward`, of the shapes that were exported and without gradients to the maps."""
        if self.covariates is not None and covariates is None:
            covariates = self.covariates.missing(len(images))
        seen = None if self.covariates is None else covariates
        found = self.runtime(named_inputs(images, present, valid, graph, seen))
        maps, attention = (
            tuple(torch.from_numpy(found[f"{kind}_{i}"]) for i in range(len(graph.weights)))
            for kind in ("map", "attention")
        )
        outputs: Outputs = self.readout(maps, attention, graph)
        return replace(outputs, logits=added(self.covariates, outputs.logits, seen))


def named_inputs(
    images: Tensor, present: Tensor, valid: Tensor, graph: GraphInputs, covariates: Tensor | None
) -> dict[str, NDArray[Any]]:
    """A student's inputs by the names that they have in the file; without nodes there are none of regions.

    (An empty node axis made onnxruntime 1.32 end the process with a corrupted heap.)

    Args:
        images, present, valid, graph: As `Student.forward` takes them.
        covariates: [B, V], NaN if missing; None for a student that does not see them.
    """
    named = {"images": images, "present": present, "valid": valid}
    named |= {f"weight_{i}": weight for i, weight in enumerate(graph.weights)}
    if graph.node_valid.shape[1]:
        named |= {f"mask_{i}": mask for i, mask in enumerate(graph.masks)}
        named |= {"node_valid": graph.node_valid, "geometry": graph.geometry, "edges": graph.edges}
    if covariates is not None:
        named["covariates"] = covariates
    return {name: np.ascontiguousarray(tensor.detach().cpu().numpy()) for name, tensor in named.items()}


def named_graph(named: Mapping[str, Tensor], student: Student) -> GraphInputs:
    """The regions among `named_inputs`, of no nodes where there are none."""
    pooled = student.readout.pooled
    weights = tuple(named[f"weight_{i}"] for i in range(len(pooled)))
    if "node_valid" in named:
        masks = tuple(named[f"mask_{i}"] for i in range(sum(pooled)))
        return GraphInputs(masks, weights, named["node_valid"], named["geometry"], named["edges"])
    masks = tuple(w[:, :0] for w, use in zip(weights, pooled, strict=True) if use)
    batch, first = len(weights[0]), weights[0]
    nobody = first.new_zeros((batch, 0), dtype=torch.bool)
    return GraphInputs(
        masks, weights, nobody, first.new_zeros((batch, 0, GEOMETRY_FEATURES)), first.new_zeros((batch, 0, 0))
    )


def exported_student(folder: Path, student: Student, backend: Backend) -> Student:
    """The student of a fold's folder, through a backend.

    Raises:
        UserError: It was not exported, its weights or the file have changed since, or the runtime is not installed.
    """
    if backend == "torch":
        return student
    path = folder / "student.onnx"
    if not path.is_file():
        raise UserError(f"{path}: not there, expected the exported student; run reactkd_export_onnx first.")
    record = read_document(ExportRecord, record_path(path))
    for file, expected in ((path, record.onnx), (folder / "student.safetensors", record.weights)):
        if file_hash(file) != expected:
            raise UserError(f"{file}: changed since the export, expected as then; run reactkd_export_onnx again.")
    return ExportedStudent(student, open_runtime(path, backend)).eval()


def open_runtime(path: Path, backend: Backend) -> Runtime:
    """Load an ONNX file, to be run on the processor in float32 with as many threads as torch has.

    Raises:
        UserError: The runtime is not installed.
    """
    return _openvino(path) if backend == "openvino" else _onnxruntime(path)


def record_path(path: Path) -> Path:
    """``student.onnx.json``."""
    return path.with_name(f"{path.name}.json")


def _onnxruntime(path: Path) -> Runtime:
    try:
        import onnxruntime
    except ImportError:
        raise _missing("onnx", "onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, outputs = ([x.name for x in of()] for of in (session.get_inputs, session.get_outputs))

    def run(given: Arrays) -> dict[str, NDArray[np.float32]]:
        return dict(zip(outputs, session.run(outputs, {name: given[name] for name in inputs}), strict=True))

    return run


def _openvino(path: Path) -> Runtime:
    try:
        import openvino
    except ImportError:
        raise _missing("openvino", "openvino") from None
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    inputs, outputs = ([x.get_any_name() for x in of] for of in (compiled.inputs, compiled.outputs))

    def run(given: Arrays) -> dict[str, NDArray[np.float32]]:
        found = compiled({name: given[name] for name in inputs})
        return {name: np.array(found[i]) for i, name in enumerate(outputs)}

    return run


def _missing(extra: str, package: str) -> UserError:
    install = f"pip install 'reactkd_auto[{extra}]'"
    return UserError(f"--backend {extra}: the package {package} is not installed; install it with: {install}")
