"""``reactkd_train``."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import get_args

from reactkd_auto.commandline import add_run_options, add_workspace_options, new_parser, run
from reactkd_auto.errors import Interrupted, UserError
from reactkd_auto.training.api import train
from reactkd_auto.training.preset import TeacherMode, preset_names, read_preset

logger = logging.getLogger(__name__)

SECONDS_TO_BE_FOUND_OUT = 3.0
"""A process that lost another waits, so that the launcher finds the one that was lost, not this one, to blame."""
DESCRIPTION = """\
Train one fold: first the teachers (PET/CT and low-dose CT), then the student, which needs a CT alone.

The fold's cases are kept apart: they are watched while training, predicted at the end, and select nothing.
A second call continues where the first one stopped, and a finished fold says so. Ctrl+C saves before it stops.

  reactkd_train 0                             fold 0 of the only dataset
  reactkd_train all -d 3                      every fold of dataset 3
  reactkd_train 0 --num_gpus 4                on four GPUs of this machine
  reactkd_train 0 --student_channels CT,FDG   a student that takes an FDG-PET, too, where there is one
  reactkd_train 0 --preset baseline           labels only, for comparison
  reactkd_train 0 --preset paper              the published recipe, for comparison

presets:
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    presets = "".join(f"  {name:13s} {read_preset(name).description}\n" for name in preset_names())
    parser = new_parser("reactkd_train", DESCRIPTION + presets)
    parser.add_argument("fold", metavar="FOLD", type=_fold, help="the fold to keep apart, from 0 on; or all")
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    parser.add_argument("--preset", default="auto", choices=preset_names(), help="recipe")
    parser.add_argument(
        "--teachers",
        choices=get_args(TeacherMode),
        help="whose answers the student learns, if not whose the preset says: of teachers that saw the same training "
        "cases, or of such that saw other ones (one for each pair of folds: for one fold of five five times the "
        "teachers, three times for all folds)",
    )
    parser.add_argument(
        "--covariates", action="store_true", help="show the student the clinical covariates, too, that teachers see"
    )
    parser.add_argument(
        "--student_channels",
        type=_names,
        metavar="CT,FDG",
        help="channels that the student sees wherever a case has them, as dataset.json names them; it always sees the "
        "first one, and that alone if this is left out",
    )
    parser.add_argument(
        "--pretrained", type=Path, metavar="FOLDER", help="encoders begin with the weights that reactkd_pretrain made"
    )
    parser.add_argument(
        "--lora_rank",
        type=int,
        metavar="R",
        help="freeze the pretrained convolutions, let them learn updates of this rank (LoRA; --pretrained)",
    )
    parser.add_argument(
        "--epochs", type=int, help="of the student; teachers have no more than are planned; as planned if left out"
    )
    parser.add_argument("--iterations", type=int, help="an epoch; as planned if left out")
    parser.add_argument(
        "--num_gpus", type=int, default=1, help="GPUs that share every batch; the result is that of one, sooner"
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the encoders (torch.compile); pays off in long trainings only"
    )
    parser.add_argument("--restart", action="store_true", help="forget what was trained for this fold, begin anew")
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Parse, train, and say where the model is."""
    return run(_program, build_parser(), argv)


def _fold(text: str) -> int | str:
    if text == "all":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number or all") from None


def _names(text: str) -> list[str]:
    return text.split(",")


def _program(arguments: argparse.Namespace) -> int:
    from reactkd_auto.ranks import RankLost
    from reactkd_auto.training.group import follows, started_in_group
    from reactkd_auto.training.launch import EXIT_RANK_LOST, GroupEnded

    if follows():
        logging.getLogger("reactkd_auto").setLevel(logging.CRITICAL)  # the leading process speaks
    try:
        model = train(**vars(arguments))
    except GroupEnded as end:
        if not end.told:
            logger.error("reactkd_train: %s", end)
        return end.code
    except RankLost:
        time.sleep(SECONDS_TO_BE_FOUND_OUT)
        return EXIT_RANK_LOST
    except (UserError, Interrupted) as error:
        if not follows():
            raise
        return error.exit_code
    if arguments.num_gpus == 1 or started_in_group():  # else one of the processes has said so
        logger.info("model: %s (folds %s)", model.path, ", ".join(map(str, model.finished_folds())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
