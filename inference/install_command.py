"""`reactkd_install_model`: a model that was handed on, checked, as a model folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import new_parser, run

DESCRIPTION = """\
Unpack a model that reactkd_export_model wrote. Every file is compared with its SHA-256; a zip that holds
anything but documents and safetensors, that would write outside its folder or grow too large is refused.

example: reactkd_install_model -i NAME.zip -o models/NAME
         reactkd_predict -m models/NAME -i ct_dir -o out"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_install_model", DESCRIPTION)
    parser.add_argument("-i", "--input", type=Path, required=True, help="the zip")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model folder to be made")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.inference.handover.contents import CARD, entry_of
    from reactkd_auto.inference.handover.install import install_model

    model = install_model(arguments.input, arguments.output)
    sys.stdout.write(
        f"{model.path}: folds {' '.join(map(str, model.finished_folds()))}; read {CARD} first.\n"
        f"SHA-256 of the zip {entry_of(arguments.input).sha256}: compare it with the sender's.\n"
    )
    return 0
