"""``reactkd_pretrain``."""

from __future__ import annotations

import argparse
import logging

from reactkd_auto.commandline import add_run_options, add_workspace_options, new_parser, run
from reactkd_auto.training.pretrain import pretrain

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Pretrain the encoders of teachers and student on segmenting the regions of a preprocessed dataset's CTs.

Needs no grades. What comes out is a folder for reactkd_train FOLD --pretrained FOLDER.
A second call continues where the first one stopped. Ctrl+C saves before it stops.

  reactkd_pretrain                    on every case of the only dataset that has regions
  reactkd_pretrain --ungraded_only    on patients whom no fold holds out
"""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = new_parser("reactkd_pretrain", DESCRIPTION)
    add_workspace_options(parser)
    parser.add_argument("-p", "--plan", default="auto", help="name of the plan")
    parser.add_argument(
        "--ungraded_only", action="store_true", help="learn only from patients without a grade, whom no fold holds out"
    )
    parser.add_argument("--epochs", type=int, help="of each encoder; as planned if left out")
    parser.add_argument("--iterations", type=int, help="an epoch; as planned if left out")
    parser.add_argument("--restart", action="store_true", help="forget what was pretrained, begin anew")
    add_run_options(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Parse, pretrain, and say where the encoders are."""
    return run(_program, build_parser(), argv)


def _program(arguments: argparse.Namespace) -> int:
    folder = pretrain(**vars(arguments))
    logger.info("encoders: %s (reactkd_train FOLD --pretrained %s)", folder, folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
