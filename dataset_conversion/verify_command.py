"""`reactkd_verify_dataset`: every problem of a raw dataset in one run, as a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import add_workspace_options, new_parser, refuse_workspace, run
from reactkd_auto.errors import EXIT_USER_ERROR
from reactkd_auto.workspace import open_workspace

DESCRIPTION = """Check a raw dataset wholly, in one run, and print every problem as a table: file, found, expected.

Checked are dataset.json, the label tables (unknown classes, duplicate cases, patients in training and test or spelt
twice), the files (missing base images, files that belong to no case, sidecars) and every image: readable,
three-dimensional, not coloured, finite, plausible spacing, axes at right angles, qform and sform that agree, HU or SUV
by its role, channels that overlap the base image in space and lie on it, region maps on its grid with known values, CTs
of sessions, two images with the same voxels. A missing channel or region map is normal, and only counted; so are
left-handed axes, which reading turns.

Exit code: 0 without problems, 2 with problems."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``reactkd_verify_dataset``."""
    parser = new_parser("reactkd_verify_dataset", DESCRIPTION)
    add_workspace_options(parser)
    parser.add_argument("--folder", type=Path, help="a dataset folder anywhere, instead of -d and -w")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``reactkd_verify_dataset``."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.dataset_conversion.verify import check_dataset

    folder = arguments.folder
    if folder is not None:
        refuse_workspace(arguments, "says which dataset of a workspace, expected without --folder")
    else:
        workspace = open_workspace(arguments.workspace)
        folder = workspace.raw_dataset(workspace.find_dataset(arguments.dataset))
    result = check_dataset(folder, quiet=arguments.quiet)
    count = len(result.problems)
    lines = [f"{folder}", *(f"  {s}" for s in result.summary)]
    if count:
        lines += [
            "",
            *table([("file", "found", "expected"), *((p.file, p.found, p.expected) for p in result.problems)]),
        ]
    lines += ["", f"{count} problem{'s' if count > 1 else ''}" if count else "no problems"]
    sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_USER_ERROR if count else 0


def table(rows: list[tuple[str, str, str]]) -> list[str]:
    """Rows as aligned lines; the first is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
