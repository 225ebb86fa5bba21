"""`export_model`: a model folder as one zip that can be handed on."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from shutil import copyfile

from reactkd_auto.archive import pack
from reactkd_auto.fingerprint import Fingerprint, read_fingerprint, write_fingerprint
from reactkd_auto.inference.handover.card import model_card
from reactkd_auto.inference.handover.contents import (
    AS_THEY_ARE,
    CARD,
    FINGERPRINT,
    MANIFEST,
    Manifest,
    entry_of,
    weights,
)
from reactkd_auto.inference.handover.pseudonyms import check_no_identifier, pseudonymous
from reactkd_auto.inference.model import choose_model
from reactkd_auto.jsonio import read_json, write_json, write_text
from reactkd_auto.model_folder import ModelFolder
from reactkd_auto.plan import write_plan


def export_model(
    output: Path | str,
    *,
    model: Path | str | None = None,
    dataset: str | None = None,
    workspace: Path | str | None = None,
) -> Path:
    """Write a model as one zip: weights, plan, dataset, fingerprint, evidence, model card, hashes of all of them.

    The same model folder gives the same bytes. The zip names no case and no patient: of the fingerprint pseudonyms
    and measurements are kept (see `pseudonymous`), of the plan not which cases were zoomed.

    Args:
        output: The zip, or a folder for ``Dataset001_NAME_MODEL.zip``, called by the model folder too.
        model: Model folder; None: the dataset's newest finished one.
        dataset: Id or name, where the model has to be looked for.
        workspace: See `open_workspace`.

    Returns:
        The zip.

    Raises:
        UserError: No finished model, a document that names a case, or a zip that can't be written.
    """
    folder, output = choose_model(model, dataset=dataset, workspace=workspace), Path(output)
    files = weights(folder)
    path = output if output.suffix == ".zip" else output / f"{folder.dataset.name}_{folder.path.resolve().name}.zip"
    with tempfile.TemporaryDirectory() as scratch:
        documents = _documents(folder, Path(scratch))
        contents = {**documents, **files}
        entries = {name: entry_of(file) for name, file in sorted(contents.items())}
        write_json(Path(scratch) / MANIFEST, Manifest(metadata.version("reactkd_auto"), entries))
        pack(path, {**contents, MANIFEST: Path(scratch) / MANIFEST})
    return path


def _documents(model: ModelFolder, scratch: Path) -> dict[str, Path]:
    """Documents by name, as they are handed on."""
    original = read_fingerprint(model.path) if (model.path / FINGERPRINT).exists() else None
    kept = None if original is None else pseudonymous(original)
    write_plan(scratch / "plan.json", replace(model.plan, zoomed_cases=()))
    if kept is not None:
        write_fingerprint(scratch, kept)
    for name in AS_THEY_ARE:
        if (model.path / name).exists():
            (scratch / name).parent.mkdir(exist_ok=True)
            copyfile(model.path / name, scratch / name)
    metrics = scratch / "cross_validation" / "metrics.json"
    write_text(scratch / CARD, model_card(model, kept, read_json(metrics) if metrics.exists() else None))
    files = {str(p.relative_to(scratch)): p for p in scratch.rglob("*") if p.is_file()}
    _check_names(files, model, original)
    return files


def _check_names(files: dict[str, Path], model: ModelFolder, fingerprint: Fingerprint | None) -> None:
    if fingerprint is not None:
        for name, path in files.items():
            if path.suffix == ".json":
                check_no_identifier(str(model.path / name), read_json(path), fingerprint)
