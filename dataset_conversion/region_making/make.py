"""Region maps for all cases of a raw dataset that lack one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from reactkd_auto.commandline import refuse_given
from reactkd_auto.dataset import Dataset, read_dataset, write_dataset
from reactkd_auto.dataset_conversion.cohort import Conversion
from reactkd_auto.dataset_conversion.region_making.makers import OrganMaker, SupervoxelMaker
from reactkd_auto.dataset_conversion.region_making.structures import read_structures, with_structures, with_supervoxels
from reactkd_auto.dataset_conversion.region_making.targets import count_states, list_targets, state_of
from reactkd_auto.dataset_conversion.region_making.totalsegmentator import (
    COMMAND,
    INSTALL,
    TotalSegmentator,
    find_command,
)
from reactkd_auto.errors import UserError
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.jsonio import content_hash
from reactkd_auto.lock import locked
from reactkd_auto.preprocessing.supervoxels import SPLITS, supervoxel_values
from reactkd_auto.workspace import open_workspace

Using = Literal["totalsegmentator", "supervoxels"]
DEVICES = {"auto": "gpu", "cuda": "gpu", "cpu": "cpu"}
"""As TotalSegmentator calls them; its ``gpu`` is the CPU where there is none."""
DEFAULT_SUPERVOXELS = 8
DEFAULT_TIMEOUT_MINUTES = 60.0
_METHOD = 1
"""To be raised when the same CT would give another map, so that finished maps are made anew."""

logger = logging.getLogger(__name__)


def make_regions(
    *,
    dataset: str | None = None,
    workspace: Path | str | None = None,
    using: Using | None = None,
    organs: Sequence[str] = (),
    context: Sequence[str] = (),
    supervoxels: int | None = None,
    overwrite: bool = False,
    fast: bool = False,
    device: Literal["auto", "cuda", "cpu"] | None = None,
    timeout_minutes: float | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Conversion:
    """Make region maps for the cases of ``imagesTr`` and ``imagesTs`` that lack one, and name them in ``dataset.json``.

    A case that can't be made is reported and the others are finished; given again, finished ones are kept.

    Args:
        dataset: Id, name or folder; None: the only one.
        workspace: None: ``$REACTKD_WORKSPACE``, else ``./reactkd_workspace``.
        using: None: TotalSegmentator where its command is installed, else supervoxels.
        organs, context: ``CLASS`` or ``NAME=CLASS+CLASS`` of TotalSegmentator, as regions of these roles.
        supervoxels: Number of supervoxels: 2, 4, 8 or 12; None: 8.
        overwrite: Also make maps for cases that have a drawn one.
        fast: TotalSegmentator's 3 mm model.
        device: Where TotalSegmentator computes; None: ``auto``.
        timeout_minutes: For one case of TotalSegmentator; None: 60.
        workers: Processes, for supervoxels (TotalSegmentator takes the whole machine); None: as cores and memory allow.
        quiet: No progress bar.

    Raises:
        UserError: No such dataset, no CT, an option with a fault or of the other method, no TotalSegmentator, or
            regions of ``dataset.json`` that contradict the options.
    """
    space = open_workspace(workspace)
    folder = space.raw_dataset(space.find_dataset(dataset))
    before = read_dataset(folder)
    if before.base.role != "ct":
        raise UserError(
            f"{folder / 'dataset.json'}: the base is a {before.base.role}, expected a CT to find regions on."
        )
    maker: SupervoxelMaker | OrganMaker
    if _choose(using, organs) == "supervoxels":
        given = {
            "organs": organs,
            "context": context,
            "fast": fast,
            "device": device,
            "timeout_minutes": timeout_minutes,
        }
        refuse_given(given, "is of totalsegmentator, found supervoxels to be made; expected --using totalsegmentator")
        after, maker = _supervoxels(before, supervoxels or DEFAULT_SUPERVOXELS, folder)
    else:
        given = {"supervoxels": supervoxels}
        refuse_given(given, "is of supervoxels, found totalsegmentator to be used; expected --using supervoxels")
        minutes = timeout_minutes or DEFAULT_TIMEOUT_MINUTES
        tool = TotalSegmentator(_command(), DEVICES[device or "auto"], fast, 60 * minutes)
        after, maker = _organs(before, tool, organs, context, folder)
        workers = 1
    with locked(folder, "regionsTr", "regionsTs"):
        return _make_all(folder, before, after, maker, overwrite=overwrite, workers=workers, quiet=quiet)


def _choose(using: Using | None, organs: Sequence[str]) -> Using:
    """The method, and why."""
    if using is not None:
        logger.info("Regions by %s, as asked.", using)
        return using
    if command := find_command():
        logger.info("Regions by totalsegmentator: its command is installed (%s).", command)
        return "totalsegmentator"
    if organs:
        raise UserError(f"--organs {' '.join(organs)}: no command {COMMAND} on PATH, expected it; {INSTALL}.")
    logger.info("Regions by supervoxels: no command %s on PATH.", COMMAND)
    return "supervoxels"


def _command() -> str:
    command = find_command()
    if command is None:
        raise UserError(f"--using totalsegmentator: no command {COMMAND} on PATH, expected it; {INSTALL}.")
    return command


def _supervoxels(dataset: Dataset, count: int, folder: Path) -> tuple[Dataset, SupervoxelMaker]:
    if count not in SPLITS:
        raise UserError(f"--supervoxels {count}: expected one of {', '.join(map(str, SPLITS))}.")
    after = with_supervoxels(dataset, count, folder)
    values = supervoxel_values(after)
    return after, SupervoxelMaker(content_hash((_METHOD, "supervoxels", values)), values)


def _organs(
    dataset: Dataset, tool: TotalSegmentator, organs: Sequence[str], context: Sequence[str], folder: Path
) -> tuple[Dataset, OrganMaker]:
    structures = read_structures(organs, context)
    after = with_structures(dataset, structures, folder)
    values = {r.name: r.value for r in after.regions}
    valued = tuple((s, values[s.name]) for s in structures)
    return after, OrganMaker(content_hash((_METHOD, "totalsegmentator", valued, tool.fast)), tool, valued)


def _make_all(
    folder: Path,
    before: Dataset,
    after: Dataset,
    maker: SupervoxelMaker | OrganMaker,
    *,
    overwrite: bool,
    workers: int | None,
    quiet: bool,
) -> Conversion:
    targets = list_targets(folder, before)
    states = [state_of(t, maker.method) for t in targets]
    wanted = {"missing", "outdated", *(["drawn"] if overwrite else [])}
    todo = [t for t, state in zip(targets, states, strict=True) if state in wanted]
    if todo and after != before:
        write_dataset(folder, after)  # before the maps: a value without a map harms nobody, the reverse does
    failures: dict[str, str] = {}
    made = 0
    execution = Execution(workers=workers, quiet=quiet)
    for target, result in map_cases(maker, todo, execution=execution, what="making regions", name=lambda t: t.case):
        if isinstance(result, CaseFailure):
            failures[target.case] = result.sentence
        else:
            made += 1
    if not made and "finished" not in states:
        write_dataset(folder, before)
    kept = [s for s in states if s not in wanted]
    logger.info("%s: %d region maps made, %d kept (%s).", folder, made, len(kept), count_states(kept))
    return Conversion(folder, len(targets), failures, {})
