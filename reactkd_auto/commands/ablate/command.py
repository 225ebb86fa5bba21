"""``reactkd_ablate``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reactkd_auto.commandline import add_workspace_options, new_parser, run
from reactkd_auto.execution import ENGINES, Execution

from .api import DEFAULT_RECIPES, ablate

DESCRIPTION = """\
Train recipes with several seeds on the folds of a plan, and compare them on the same patients.

A recipe is a preset of reactkd_train, with :in_sample or :cross_fitted for teachers other than its usual ones,
:pretrained or :pretrained_lora4 (a rank) for encoders that begin with the weights of --pretrained, and :CT+FDG for a
student that sees these channels. What is finished is not trained again, so a cut run is continued by the same call, and
several machines share the work by parts; any later call without training left to do makes the table: ablation.html,
ablation.md and ablation.json.

  reactkd_ablate --recipes baseline auto auto:in_sample --seeds 0 1 2
  reactkd_ablate --recipes auto auto:CT+FDG
  reactkd_ablate --recipes auto auto:pretrained auto:pretrained_lora4 --pretrained FOLDER
  reactkd_ablate --recipes baseline auto --seeds 0 1 2 --num_parts 4 --part_id $SLURM_ARRAY_TASK_ID"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_ablate", DESCRIPTION)
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=argparse.SUPPRESS,
        help="PRESET, with :in_sample or :cross_fitted, then :pretrained or :pretrained_loraR, then :CT+FDG; "
        f"{' and '.join(DEFAULT_RECIPES)} if left out",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=argparse.SUPPRESS, help="of training; 0 if left out")
    parser.add_argument("-f", "--folds", nargs="+", type=int, help="folds; every one if left out")
    parser.add_argument("--reference", help="recipe that the others are compared with; the first if left out")
    parser.add_argument(
        "--on_external",
        action="store_true",
        help="judge on the external CTs of the raw dataset (imagesTs, labelsTs.csv), not out of fold",
    )
    parser.add_argument(
        "--pretrained", type=Path, metavar="FOLDER", help="of reactkd_pretrain, for recipes with :pretrained"
    )
    parser.add_argument("--epochs", type=int, help="as for reactkd_train; as planned if left out")
    parser.add_argument("--iterations", type=int, help="an epoch; as planned if left out")
    parser.add_argument("--num_parts", type=int, default=1, help="machines that share the trainings")
    parser.add_argument("--part_id", type=int, help="which of them this one is, from 0 on")
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="this process, or a Ray cluster: a GPU a seed and fold"
    )
    parser.add_argument("-o", "--output", type=Path, help="folder of the table; else ablation/ beside the models")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where to compute")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings only")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    options = vars(arguments)
    engine = options.pop("engine")
    cluster = Execution(engine, quiet=arguments.quiet) if engine != "local" else None
    written = ablate(**options, execution=cluster)
    if written is not None:
        sys.stdout.write(f"{written.with_suffix('.md').read_text(encoding='utf-8')}\n{written}\n")
    return 0
