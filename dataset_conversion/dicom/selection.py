"""Which series of a patient make a case: one CT, at most one series a channel, the structures drawn on the CT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reactkd_auto.dataset_conversion.dicom.choices import ChannelChoice, Choices, fits
from reactkd_auto.dataset_conversion.dicom.label_table import LabelRow
from reactkd_auto.errors import UserError
from reactkd_auto.imageio.dicom_tree import Series, Tree


@dataclass(frozen=True)
class CaseSources:
    """What a case is made of.

    Attributes:
        case: Its name.
        base: The CT.
        channels: Series by channel index (1…); missing ones are absent.
        unusable: Why a channel that the patient has can't be used, by channel index.
        structures: Structure sets and segmentations drawn on the CT, or at least in its frame of reference.
    """

    case: str
    base: Series
    channels: dict[int, Series]
    unusable: dict[int, str]
    structures: tuple[Series, ...]


def select_sources(row: LabelRow, tree: Tree, choices: Choices) -> CaseSources:
    """Choose the series of one case.

    Raises:
        UserError: No series of the patient, no CT, or several that could be meant.
        ImageFault: A file that can't be read lies among the slices.
    """
    mine = [s for s in tree.series if s.patient == row.patient and row.study in ("", s.study, s.date)]
    if not mine:
        what = "this patient and study" if row.study else "this patient"
        raise UserError(f"{row.where}: no DICOM series of {what}{_besides(row, tree)}, expected a CT.")
    structures = [s for s in mine if s.kind in ("RTSTRUCT", "SEG")]
    base = _choose_base(row, mine, structures, choices, tree)
    channels: dict[int, Series] = {}
    unusable: dict[int, str] = {}
    for index, choice in enumerate(choices.channels, start=1):
        try:
            chosen = _choose_channel(row, mine, base, choice)
            tree.check_damage(*([chosen] if chosen else []))
        except UserError as error:
            unusable[index] = str(error)
        else:
            if chosen is not None:
                channels[index] = chosen
    drawn = [s for s in structures if base.uid in s.refers_to] or [s for s in structures if s.frames & base.frames]
    used = tuple(drawn) if choices.regions else ()
    tree.check_damage(base, *used)
    return CaseSources(row.case, base, channels, unusable, used)


def _choose_base(row: LabelRow, mine: list[Series], structures: list[Series], choices: Choices, tree: Tree) -> Series:
    """The CT that the option's pattern fits; of several the one drawn on, then the one that shares the PET's frame."""
    candidates = [s for s in mine if s.kind == "CT" and fits(choices.ct, s.texts)]
    if not candidates:
        kinds = ", ".join(sorted({s.kind for s in mine}))
        found = f"no CT that fits {choices.ct!r} among its series ({kinds}){_besides(row, tree)}"
        raise UserError(f"{row.where}: {found}, expected one.")
    drawn_on = {uid for s in structures for uid in s.refers_to}
    pet_frames = {f for s in mine if s.kind == "PT" for f in s.frames}
    candidates = [s for s in candidates if s.uid in drawn_on] or candidates
    candidates = [s for s in candidates if s.frames & pet_frames] or candidates
    if len(candidates) > 1:
        raise UserError(
            f"{row.where}: {_several(candidates)} could be its CT, expected one; choose with --ct or a study."
        )
    return candidates[0]


def _choose_channel(row: LabelRow, mine: list[Series], base: Series, choice: ChannelChoice) -> Series | None:
    fitting = [s for s in mine if s.kind == choice.kind and fits(choice.pattern, s.texts)]
    here = [s for s in fitting if s.frames & base.frames]
    here = [s for s in here if s.corrected] or here
    if fitting and not here:
        raise UserError(
            f"{row.where}: channel {choice.name}: {_several(fitting)} in another frame of reference than the CT, "
            "expected the same; register it first."
        )
    if len(here) > 1:
        raise UserError(
            f"{row.where}: channel {choice.name}: {_several(here)} could be meant, expected one; "
            "give a pattern that fits one."
        )
    return here[0] if here else None


def _besides(row: LabelRow, tree: Tree) -> str:
    words = ", ".join(sorted(tree.passed_over.get(row.patient, ())))
    return f", only {words}" if words else ""


def _several(series: Sequence[Series]) -> str:
    """Number and size only: descriptions are free text."""
    listed = ", ".join(f"number {s.number} ({len(s.files)} files)" for s in series[:4])
    return f"{len(series)} series, {listed}{', …' if len(series) > 4 else ''},"
