"""`reactkd_export_model`: a model as one zip that can be handed on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import add_workspace_options, new_parser, refuse_workspace, run

DESCRIPTION = """\
Write a trained model as one zip: weights (safetensors), plan, dataset, fingerprint, evidence, a model
card made of what the folder holds, and the SHA-256 of each file. It names no case and no patient.
The same model gives the same zip, byte for byte.

example: reactkd_export_model -m reactkd_workspace/results/Dataset001_NAME/auto/auto_seed0 -o NAME.zip"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_export_model", DESCRIPTION)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the zip, or a folder for it")
    parser.add_argument("-m", "--model", type=Path, help="model folder; else the dataset's newest finished one")
    add_workspace_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.inference.handover.contents import entry_of
    from reactkd_auto.inference.handover.export import export_model

    if arguments.model is not None:
        refuse_workspace(arguments, "says where to look for a model, expected without -m")
    path = export_model(
        arguments.output, model=arguments.model, dataset=arguments.dataset, workspace=arguments.workspace
    )
    sys.stdout.write(f"{path}\nSHA-256 {entry_of(path).sha256}: tell it to the receiver by another way.\n")
    return 0
