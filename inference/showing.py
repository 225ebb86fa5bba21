"""What a person looks at of an explained case: full images, a picture, the region graph, the viewer's volumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from reactkd_auto.cases import PreprocessedCase
from reactkd_auto.inference.answer import Answer
from reactkd_auto.inference.display import DisplayCase, display_case
from reactkd_auto.inference.explanation import images_on_ct, write_images
from reactkd_auto.inference.graph_drawing import write_graph
from reactkd_auto.inference.model import LoadedModel
from reactkd_auto.inference.pictures import choose_window, draw_case
from reactkd_auto.inference.region_table import most_important
from reactkd_auto.inference.results import CaseResult, RegionRow
from reactkd_auto.inference.viewer import write_viewer
from reactkd_auto.regions.geometry import nearest_inside
from reactkd_auto.regions.slots import Slot, node_slots

Voxel = tuple[int, int, int]


@dataclass(frozen=True)
class _View:
    """An explained case, and which of its regions is shown first (None: none stands out)."""

    case: PreprocessedCase
    result: CaseResult
    model: LoadedModel
    shown: RegionRow | None

    @property
    def slots(self) -> tuple[Slot, ...]:
        return node_slots(self.model.plan.graph, self.model.dataset)

    @property
    def size(self) -> Voxel:
        z, y, x = self.case.nodes.shape[1:]
        return z, y, x

    @property
    def centre(self) -> Voxel:
        """A voxel (z, y, x) inside the shown region, else the middle."""
        if self.shown is not None:
            slot = next(s for s in self.slots if s.name == self.shown.node)
            mask = self.case.nodes[slot.layer] == slot.index + 1
            if mask.any():
                return nearest_inside(mask)
        z, y, x = self.size
        return z // 2, y // 2, x // 2


def show_case(output: Path, answer: Answer, model: LoadedModel) -> dict[str, sitk.Image]:
    """Write everything of a case that was explained.

    Returns:
        The images as written, in the CT's own geometry; none where nothing was explained.
    """
    if answer.explanation is None or answer.prepared is None:
        return {}
    view = _View(answer.prepared, answer.result, model, most_important(answer.result.regions))
    images = images_on_ct(view.case, answer.explanation, answer.regions, answer.read.own)
    write_images(output, view.result.case, images)
    layers = {"image": answer.read.raw.images[0], **images}
    display = _display(view, layers, explained=bool(answer.explanation.image.any()))
    _draw(output / "pictures" / f"{view.result.case}.png", view, display)
    write_viewer(
        output,
        layers,
        properties=view.case.properties,
        grid_size=view.size,
        centre_voxel=view.centre,
        window=choose_window(display),
        is_ct=display.is_ct,
    )
    if view.result.regions:
        write_graph(output / "pictures" / f"{view.result.case}_graph.svg", view.case, view.slots, view.result.regions)
    return images


def _display(view: _View, layers: Mapping[str, sitk.Image], *, explained: bool) -> DisplayCase:
    return display_case(
        layers["image"],
        layers.get("regions"),
        layers["explanation"] if explained else None,
        dataset=view.model.dataset,
        properties=view.case.properties,
        grid_size=view.size,
        centre_voxel=view.centre,
    )


def _draw(path: Path, view: _View, display: DisplayCase) -> None:
    result, shown = view.result, view.shown
    assert result.probabilities is not None
    probability = f"p = {max(result.probabilities):.2f} ± {result.uncertainty_std:.2f}"
    draw_case(
        path,
        display,
        title=f"{result.case}: {result.predicted_class}, {probability}",
        subtitle=f"planes through {'the middle' if shown is None else shown.node.replace('_', ' ')}",
        measure="class activation" if shown is None else "share of the evidence",
    )
