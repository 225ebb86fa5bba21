"""A cohort case by case: bad cases are named, the others finished, the dataset closed last of all."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from reactkd_auto.commandline import EXIT_SOME_CASES_FAILED, from_one, run
from reactkd_auto.dataset import Dataset, LabelledCase
from reactkd_auto.dataset_conversion.case_records import RECORDS, discard_case
from reactkd_auto.dataset_conversion.copying import close_dataset, converter_parser
from reactkd_auto.errors import EXIT_USER_ERROR
from reactkd_auto.execution import CaseFailure, Execution, map_cases
from reactkd_auto.imageio import list_cases
from reactkd_auto.lock import locked
from reactkd_auto.provenance import write_run


class CaseSource(Protocol):
    """What a case is made of; picklable."""

    @property
    def case(self) -> str:
        """Its name."""


Source = TypeVar("Source", bound=CaseSource)


@dataclass(frozen=True)
class Conversion:
    """What became of a cohort.

    Attributes:
        folder: Of the dataset.
        cases: How many the cohort has.
        failures: One sentence for each case that could not be made, by name.
        skipped: One sentence for each channel that was left out, by case and channel.
    """

    folder: Path
    cases: int
    failures: dict[str, str]
    skipped: dict[str, str]


def write_cohort(
    folder: Path,
    dataset: Dataset,
    labelled: Sequence[LabelledCase],
    sources: Sequence[Source],
    write: Callable[[Source], dict[str, str]],
    *,
    failures: Mapping[str, str],
    options: Mapping[str, Any],
    workers: int | None,
    quiet: bool,
) -> Conversion:
    """Write all cases and, if any could be made, the documents of the dataset.

    Args:
        folder: Of the dataset; see `open_cohort`.
        dataset: What it holds.
        labelled: All cases of the cohort.
        sources: What the cases are made of, of those for which that is known.
        write: Writes one case and returns why channels were left out, by name (see `make_once`).
        failures: Why the other cases can't be made.
        options: For ``run.json``.
        workers: Processes; None: as many as cores and free memory allow.
        quiet: No progress bar.
    """
    failed, skipped = dict(failures), {}
    with locked(folder, "imagesTr", "regionsTr", RECORDS):
        (folder / "dataset.json").unlink(missing_ok=True)  # comes back last of all
        for stale in {*list_cases(folder, dataset), *failed} - {s.case for s in sources}:
            discard_case(folder, stale, dataset.file_ending)
        execution = Execution(workers=workers, quiet=quiet)
        for source, result in map_cases(write, sources, execution=execution, what="converting", name=lambda s: s.case):
            if isinstance(result, CaseFailure):
                failed[source.case] = result.sentence
            else:
                skipped.update({f"{source.case}, {channel}": why for channel, why in result.items()})
        if made := [c for c in labelled if c.case not in failed]:
            close_dataset(folder, dataset, made)
            write_run(folder, seed=None, plan_hash=None, options=options)
    return Conversion(folder, len(labelled), failed, skipped)


def cohort_parser(program: str, description: str) -> argparse.ArgumentParser:
    """`converter_parser` with ``--workers``."""
    parser = converter_parser(program, description)
    parser.add_argument("--workers", type=from_one, help="processes; else as cores and free memory allow")
    return parser


def run_converter(convert: Callable[..., Conversion], parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Run a cohort's converter with the options of its parser, which are its arguments by name, and report.

    Returns:
        The exit code.
    """

    def program(arguments: argparse.Namespace) -> int:
        options = vars(arguments)
        return report(convert(options.pop("input"), **options))

    return run(program, parser, argv)


def report(outcome: Conversion) -> int:
    """Print what was left out and what could not be made.

    Returns:
        The exit code: 0, or 3 where some cases, or 2 where all cases could not be made.
    """
    for where, sentence in sorted(outcome.skipped.items()):
        sys.stderr.write(f"{where}: left out: {sentence}\n")
    if not outcome.failures:
        return 0
    sys.stderr.write(f"{len(outcome.failures)} of {outcome.cases} cases could not be made:\n")
    sys.stderr.writelines(f"  {case}: {sentence}\n" for case, sentence in sorted(outcome.failures.items()))
    return EXIT_SOME_CASES_FAILED if len(outcome.failures) < outcome.cases else EXIT_USER_ERROR
