"""`pretrain`: the function behind ``reactkd_pretrain``."""

from __future__ import annotations

import logging
from pathlib import Path

from reactkd_auto.workspace import open_workspace


def pretrain(
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    plan: str = "auto",
    device: str = "auto",
    seed: int = 0,
    epochs: int | None = None,
    iterations: int | None = None,
    ungraded_only: bool = False,
    restart: bool = False,
    quiet: bool = False,
) -> Path:
    """Pretrain the teachers' and the student's encoder on segmenting regions; what is done already is not done again.

    Args:
        dataset: Id or name; None: the only one.
        workspace: Folder; None: ``$REACTKD_WORKSPACE`` or ``./reactkd_workspace``.
        plan: Name of the plan.
        device: ``auto``, ``cuda`` or ``cpu``.
        seed: Of everything random.
        epochs: Of each encoder; None: as planned.
        iterations: An epoch; None: as planned.
        ungraded_only: Learn only from patients without a grade, whom no fold holds out.
        restart: Forget what was pretrained, and begin anew.
        quiet: No progress bars.

    Returns:
        The folder for ``reactkd_train FOLD --pretrained FOLDER``.

    Raises:
        UserError: Something that the user can mend.
        Interrupted: SIGTERM or SIGINT came; the same call continues.
    """
    from reactkd_auto.lock import locked
    from reactkd_auto.progress import log_to_file
    from reactkd_auto.training.folders import empty_folder
    from reactkd_auto.training.opening import open_run
    from reactkd_auto.training.preset import read_preset
    from reactkd_auto.training.pretrain_run import pretrain_encoders
    from reactkd_auto.training.pretrained import ROLES
    from reactkd_auto.training.stop import StopRequest

    options = {"plan": plan, "device": device, "epochs": epochs, "iterations": iterations}
    run = open_run(
        open_workspace(workspace),
        dataset=dataset,
        plan=plan,
        preset=read_preset("baseline"),  # its length and sizes are the plan's, as every preset's
        device=device,
        seed=seed,
        epochs=epochs,
        iterations=iterations,
        quiet=quiet,
    )
    folder = run.results / f"pretrained{'_ungraded' if ungraded_only else ''}_seed{seed}"
    with StopRequest() as stop, locked(folder, *ROLES):
        if restart:
            empty_folder(folder)
        handler = log_to_file(folder / "training.log")
        try:
            pretrain_encoders(run, folder, stop, {**options, "ungraded_only": ungraded_only})
        finally:
            logging.getLogger("reactkd_auto").removeHandler(handler)
            handler.close()
    return folder
