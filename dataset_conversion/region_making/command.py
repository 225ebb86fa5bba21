"""`reactkd_make_regions`: region maps for cases that nobody drew."""

from __future__ import annotations

import argparse

from reactkd_auto.commandline import add_workspace_options, from_one, new_parser, run
from reactkd_auto.dataset_conversion.cohort import report

DESCRIPTION = """Make region maps for the cases of imagesTr and imagesTs that lack one, and name them in dataset.json.

--using totalsegmentator finds organs with the command TotalSegmentator, which must be installed (in an environment of
its own) and on PATH. --using supervoxels needs nothing: the body is divided into compact parts that follow its edges.
Default: totalsegmentator where it is installed, else supervoxels; the command says which, and why.

Region maps that are there are kept, whoever drew them. Given again, the command makes what is missing, and anew what
it had made of another CT or with other options.

  reactkd_make_regions -d 1 --using totalsegmentator --organs liver --context aorta portal_vein_and_splenic_vein
  reactkd_make_regions -d 1 --using totalsegmentator --organs 'kidneys=kidney_left+kidney_right'
  reactkd_make_regions -d 1 --using supervoxels --supervoxels 8

A case that can't be made is reported and the others are finished (exit code 3)."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_make_regions``."""
    parser = new_parser("reactkd_make_regions", DESCRIPTION)
    add_workspace_options(parser)
    parser.add_argument("--using", choices=("totalsegmentator", "supervoxels"), help="how; default: see above")
    parser.add_argument("--overwrite", action="store_true", help="also for cases that have a drawn region map")
    organs = parser.add_argument_group("organs, as TotalSegmentator calls them; NAME=CLASS+CLASS joins several")
    organs.add_argument("--organs", nargs="+", metavar="CLASS", help="what the tumours lie in; regions of role organ")
    organs.add_argument("--context", nargs="+", metavar="CLASS", help="what lies near; regions of role context")
    organs.add_argument("--fast", action="store_true", help="the 3 mm model: quicker, coarser")
    organs.add_argument("--device", choices=("auto", "cuda", "cpu"), help="where it computes; default: auto")
    organs.add_argument("--timeout_minutes", type=_minutes, metavar="N", help="for one case; default: 60")
    parts = parser.add_argument_group("supervoxels")
    parts.add_argument("--supervoxels", type=int, choices=(2, 4, 8, 12), help="how many; default: 8")
    parts.add_argument("--workers", type=from_one, help="processes; else as cores and free memory allow")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings only")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_make_regions``."""
    return run(_program, build_parser(), argv)


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0 minutes")
    return value


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.dataset_conversion.region_making.make import make_regions

    outcome = make_regions(
        dataset=arguments.dataset,
        workspace=arguments.workspace,
        using=arguments.using,
        organs=arguments.organs or (),
        context=arguments.context or (),
        supervoxels=arguments.supervoxels,
        overwrite=arguments.overwrite,
        fast=arguments.fast,
        device=arguments.device,
        timeout_minutes=arguments.timeout_minutes,
        workers=arguments.workers,
        quiet=arguments.quiet,
    )
    return report(outcome)
