"""`plan.html`: one file that opens from disk, without a network, and shows the cohort and why it is planned so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reactkd_auto.cases import read_properties
from reactkd_auto.dataset import Dataset
from reactkd_auto.fingerprint import Fingerprint
from reactkd_auto.jsonio import content_hash, write_text
from reactkd_auto.pages import embedded, render
from reactkd_auto.plan import Plan
from reactkd_auto.planning.report import contents
from reactkd_auto.planning.report.groups import Group, by_class
from reactkd_auto.planning.report.outliers import outliers, remarks
from reactkd_auto.planning.report.registrations import registrations
from reactkd_auto.planning.rooms import Rooms
from reactkd_auto.splits import Splits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_VERSION = 3
"""Raised when the page changes, so that pages of an earlier release are made again."""
TEMPLATE = Path(__file__).parent / "templates" / "plan.html"
_HEAD = 400
"""Characters at the page's beginning, within which its key stands."""

logger = logging.getLogger(__name__)


def write_plan_report(
    rooms: Rooms,
    *,
    plan: Plan,
    dataset: Dataset,
    fingerprint: Fingerprint,
    splits: Splits,
    failures: Mapping[str, str] | None = None,
) -> Path:
    """Write the page beside the plan; one that shows the same is kept.

    Args:
        rooms: Where plan and preprocessed cases lie; folders' names are left out of the page.
        plan, dataset, fingerprint, splits: What is shown. Every case of ``splits`` is preprocessed.
        failures: By case that could not be used, a sentence.

    Returns:
        The page: ``plan.html`` beside ``plan.json``, ``PLAN.html`` beside ``PLAN.json``.

    Raises:
        UserError: A preprocessed case cannot be read, or the page cannot be written.
    """
    path = rooms.plan_file.with_suffix(".html")
    failed = {case: _without_folders(sentence, rooms) for case, sentence in sorted((failures or {}).items())}
    flags = {case: read_properties(rooms.cases, case).flags for case in splits.assignment}
    key = content_hash([REPORT_VERSION, plan, dataset, fingerprint, splits, failed, flags])
    if _key_line(key) not in _beginning(path):
        cases = [c for c in fingerprint.cases if c.case in splits.assignment]
        groups = by_class(cases, dataset)
        page = render(
            TEMPLATE,
            key=_key_line(key),
            plan=plan,
            dataset=dataset,
            groups=groups,
            failures=failed,
            facts=contents.facts(cases, dataset, plan, splits),
            scanners=contents.scanners(cases),
            folds=contents.folds(cases, splits, dataset),
            decisions=contents.decisions(plan),
            outliers=outliers(cases, dataset),
            remarks=remarks(flags),
            registrations=registrations(cases, rooms.store),
            **_pictures(groups, rooms, plan, dataset, splits),
        )
        write_text(path, page)
    logger.info("Plan report: %s", path)
    return path


def _pictures(groups: list[Group], rooms: Rooms, plan: Plan, dataset: Dataset, splits: Splits) -> dict[str, Any]:
    """Figures and montage, each as a data URL, None where there is nothing to draw."""
    import matplotlib as mpl

    from reactkd_auto.drawing.style import STYLE, svg_bytes
    from reactkd_auto.planning.report.histograms import draw_counts, draw_grids, draw_lesions
    from reactkd_auto.planning.report.intensity_figures import draw_intensities, draw_noise, draw_uptake
    from reactkd_auto.planning.report.montage import montage
    from reactkd_auto.planning.report.tile import KIND_COLOURS
    from reactkd_auto.regions.slots import node_slots

    painters: dict[str, Callable[[], Figure | None]] = {
        "counts": lambda: draw_counts(groups, dataset),
        "grids": lambda: draw_grids(groups, plan),
        "lesions": lambda: draw_lesions(groups, plan),
        "intensities": lambda: draw_intensities(groups, dataset, plan),
        "uptake": lambda: draw_uptake(groups, dataset),
        "noise": lambda: draw_noise(groups, plan),
    }
    figures: dict[str, str | None] = {}
    with mpl.rc_context(STYLE):
        for name, paint in painters.items():
            figure = paint()
            figures[name] = None if figure is None else embedded(svg_bytes(figure, tight=False), ".svg")
    tiles = montage(groups, rooms.cases, plan, dataset, splits.assignment)
    kinds = {s.kind for s in node_slots(plan.graph, dataset)}
    return {
        "figures": figures,
        "montage": {name: [(t, embedded(t.png, ".png")) for t in own] for name, own in tiles.items() if own},
        "kinds": {k: c for k, c in KIND_COLOURS.items() if k in kinds},
    }


def _without_folders(sentence: str, rooms: Rooms) -> str:
    """Names of files stay, folders go: pages are handed on, and some folders are named after patients."""
    for folder in (rooms.raw / "imagesTr", rooms.raw / "regionsTr", rooms.raw, rooms.cases, rooms.out):
        sentence = sentence.replace(f"{folder}/", "")
    return sentence


def _key_line(key: str) -> str:
    return f"plan-report-{key}"


def _beginning(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_HEAD)
