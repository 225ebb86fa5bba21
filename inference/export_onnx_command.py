"""`reactkd_export_onnx`: students as ONNX, for onnxruntime and OpenVINO."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import add_workspace_options, new_parser, refuse_workspace, run

DESCRIPTION = """\
Write each fold's student as fold_F/student.onnx into the model folder, after comparing it with torch on
a real CT; prints the largest differences. OpenVINO reads the same file, and is compared too where it is installed.
Then reactkd_predict --backend onnx or openvino uses it. Needs: pip install 'reactkd_auto[onnx]'

The file takes one patch of the plan's size with its region graph, and gives logits, maps and attention; localising,
cropping and explaining stay in this package.

example: reactkd_export_onnx -m models/liver -i ct.nii.gz"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_export_onnx", DESCRIPTION)
    parser.add_argument("-i", "--input", type=Path, required=True, help="a CT that the model classifies")
    parser.add_argument("-m", "--model", type=Path, help="model folder; else the dataset's newest finished one")
    add_workspace_options(parser)
    parser.add_argument("-f", "--folds", type=int, nargs="+", help="folds to export; else every finished one")
    parser.add_argument("-r", "--regions", type=Path, help="region map, instead of the model's localiser")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the console script."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.inference.exported.api import export_onnx

    if arguments.model is not None:
        refuse_workspace(arguments, "says where to look for a model, expected without -m")
    options = vars(arguments)
    for check in export_onnx(options.pop("input"), **options):
        sys.stdout.write(
            f"{check.file}: {check.backend} against torch on {check.case}: logits ± {check.logits:.1e}, "
            f"probabilities ± {check.probabilities:.1e}, maps ± {check.maps:.1e} of their largest value\n"
        )
    return 0
