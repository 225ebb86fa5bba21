"""`install_model`: a zip that somebody handed on, checked, as a model folder."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import rmtree

from reactkd_auto.archive import Limits, unpack
from reactkd_auto.errors import UserError
from reactkd_auto.inference.handover.contents import ALLOWED, MANIFEST, Manifest, entry_of
from reactkd_auto.jsonio import TEMPORARY, read_document
from reactkd_auto.model_folder import ModelFolder

LIMITS = Limits(size=16 << 30, files=500)


def install_model(archive: Path | str, folder: Path | str) -> ModelFolder:
    """Unpack a model that `export_model` wrote; the folder appears whole and checked, or not at all.

    Args:
        archive: The zip.
        folder: Where the model is to lie; the same model there already is fine.

    Returns:
        The model folder, ready for ``reactkd_predict -m``.

    Raises:
        UserError: A zip that is damaged, too large, or holds anything but documents and safetensors; a file that is
            missing, was added or differs from its hash; documents or weights that do not make a model; a folder with
            something else in it.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise UserError(f"{archive}: no such file, expected a model that reactkd_export_model wrote.")
    scratch = folder.with_name(f"{TEMPORARY}{os.getpid()}_{folder.name}")
    try:
        unpack(archive, scratch, LIMITS, allowed=ALLOWED)
        manifest = _check_hashes(archive, scratch)
        if folder.exists() and any(folder.iterdir()):
            _check_same(folder, manifest)
            return ModelFolder(folder)
        _check_loads(archive, scratch)
        os.replace(scratch, folder)
    except OSError as error:
        raise UserError(f"{folder}: could not be installed ({error.strerror or error}); check access.") from None
    finally:
        rmtree(scratch, ignore_errors=True)
    return ModelFolder(folder)


def _check_hashes(archive: Path, scratch: Path) -> Manifest:
    if not (scratch / MANIFEST).is_file():
        raise UserError(f"{archive}: no {MANIFEST} in it, expected a model that reactkd_export_model wrote.")
    manifest = read_document(Manifest, scratch / MANIFEST)
    found = {str(p.relative_to(scratch)): p for p in scratch.rglob("*") if p.is_file()}
    found.pop(MANIFEST)
    if odd := sorted(set(found) ^ set(manifest.files)):
        what = "missing" if odd[0] in manifest.files else "not in its manifest"
        raise UserError(f"{archive}: {odd[0]} is {what}, expected what was exported; ask for it again.")
    for name, path in sorted(found.items()):
        if entry_of(path) != manifest.files[name]:
            raise UserError(f"{archive}: {name} is not what was exported (SHA-256 differs); ask for it again.")
    return manifest


def _check_same(folder: Path, manifest: Manifest) -> None:
    installed = folder / MANIFEST
    if not installed.exists() or read_document(Manifest, installed).files != manifest.files:
        raise UserError(f"{folder}: holds something else already, expected a new folder.")
    for name, entry in manifest.files.items():
        if not (folder / name).exists() or entry_of(folder / name) != entry:
            raise UserError(f"{folder}: {name} was changed after it was installed; remove the folder and try again.")


def _check_loads(archive: Path, scratch: Path) -> None:
    """Check that documents and weights fit each other."""
    import torch

    from reactkd_auto.inference.model import choose_model, load_model

    try:
        load_model(choose_model(scratch, dataset=None, workspace=None), folds=None, device=torch.device("cpu"))
    except UserError as error:
        raise UserError(f"{archive}: no usable model: {str(error).replace(f'{scratch}/', '')}") from None
