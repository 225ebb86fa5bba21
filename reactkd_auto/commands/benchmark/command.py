"""`reactkd_benchmark`: how fast, against what, on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from reactkd_auto.commandline import HelpFormatter, add_run_options, new_parser, run
from reactkd_auto.errors import UserError

from . import dose, inference, preprocess, training

_SUBJECTS = {"dose": dose, "inference": inference, "preprocess": preprocess, "training": training}


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_benchmark", __doc__ or "")
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="subject")
    for name, module in _SUBJECTS.items():
        summary = module.DESCRIPTION.partition("\n")[0]
        subject = subjects.add_parser(name, help=summary, description=module.DESCRIPTION, formatter_class=HelpFormatter)
        subject.add_argument("-o", "--output", type=Path, required=True, help="folder for the numbers")
        module.add_options(subject)
        add_run_options(subject)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    options, output = vars(arguments), arguments.output
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: a file, expected a folder for the numbers or nothing yet.")
    return _SUBJECTS[options.pop("subject")].program(**options)
