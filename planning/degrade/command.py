"""``reactkd_degrade``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import EXIT_SOME_CASES_FAILED, add_run_options, new_parser, run
from reactkd_auto.planning.degrade.options import DOSES

DESCRIPTION = """\
Write CTs as their scanner would have shown them at fractions of the dose.

Nothing needs to be known of the scan: flux, kernel, bowtie filter and tube-current modulation are estimated from the
noise of the CT itself. Noise is added, nothing is reconstructed anew: mean HU, resolution and the noise already there
stay. Research use only.

input   a CT in HU (.nii.gz, .nii, .nrrd, .mha), or a folder of any nesting with such files and DICOM series
output  report.html                open this: slices, differences, measured against predicted noise
        CASE_dose010.nii.gz ...    the CT at 10 % of the dose, on its own grid, in its own integer type
        CASE_calibration.json      what was found of the scan; can be given to another run with --calibration
        cases/CASE.json            every number of the page
        run.json                   options, seed, versions

A CT of a folder that cannot be used is listed, the others are finished, and the exit code is 3. Run again, finished
CTs are kept. Memory does not grow with the number of slices.

example: reactkd_degrade -i ct.nii.gz -o low_dose --dose 0.5 0.25 0.1 0.05"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_degrade", DESCRIPTION)
    parser.add_argument("-i", "--input", type=Path, required=True, help="CT, or folder of CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--dose",
        type=float,
        nargs="+",
        default=list(DOSES),
        metavar="FRACTION",
        dest="doses",
        help="fractions of the dose",
    )
    parser.add_argument(
        "--engine",
        choices=("fft", "fbp"),
        default="fft",
        help="fft: noise made in the image; fbp: photons counted ray by ray and back-projected, much slower",
    )
    parser.add_argument(
        "--coupling",
        choices=("shared", "nested", "independent"),
        default="shared",
        help="noise of several doses: the same, scaled; each adding to that of the higher dose; unrelated",
    )
    parser.add_argument("--bias", action="store_true", help="add the HU shift of starved rays, which scanners correct")
    parser.add_argument(
        "--kernel",
        choices=("soft", "standard", "sharp"),
        default="standard",
        help="assumed where a CT cannot be calibrated",
    )
    parser.add_argument("--calibration", type=Path, help="CASE_calibration.json of an earlier run, for every CT")
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.planning.degrade.api import degrade_ct

    options = vars(arguments)
    done = degrade_ct(options.pop("input"), options.pop("output"), **options)
    failed = done.failed
    sys.stdout.write(f"{len(done.results) - len(failed)} degraded, {len(failed)} failed. Look at {done.report}\n")
    sys.stderr.writelines(f"  {r.case}: {r.reason}\n" for r in failed)
    return EXIT_SOME_CASES_FAILED if failed else 0
