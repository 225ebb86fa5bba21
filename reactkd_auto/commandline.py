"""What all commands share: common options, one way to report a user's mistake."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import Interrupted, UserError
from .progress import configure_logging

EXIT_SOME_CASES_FAILED = 3


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the layout of descriptions and shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def new_parser(program: str, description: str) -> argparse.ArgumentParser:
    """A parser whose ``-h`` reads well."""
    return argparse.ArgumentParser(prog=program, description=description, formatter_class=HelpFormatter)


def add_workspace_options(parser: argparse._ActionsContainer) -> None:
    """``-d`` and ``-w``."""
    parser.add_argument("-d", "--dataset", help="dataset id or name; may be left out when there is only one")
    add_workspace_option(parser)


def add_workspace_option(parser: argparse._ActionsContainer) -> None:
    """``-w`` alone."""
    parser.add_argument(
        "-w",
        "--workspace",
        type=Path,
        help="workspace folder; else $REACTKD_WORKSPACE, else ./reactkd_workspace",
    )


def add_run_options(parser: argparse.ArgumentParser, *, device: bool = True) -> None:
    """``--device``, ``--seed`` and ``--quiet``."""
    if device:
        parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where to compute")
    parser.add_argument("--seed", type=from_zero, default=0, help="seed of everything random")
    parser.add_argument("--quiet", action="store_true", help="no progress bars, warnings only")


def from_zero(text: str) -> int:
    """The type of an option that is a whole number from 0 on, such as a seed.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole(text, 0)


def from_one(text: str) -> int:
    """The type of an option that is a whole number from 1 on, such as a number of processes.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole(text, 1)


def _whole(text: str, least: int) -> int:
    try:
        if (number := int(text)) >= least:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text}: expected a whole number, {least} or more")


def refuse_given(options: Mapping[str, object], why: str) -> None:
    """Refuse options, by name without the dashes, of which none may be given here.

    Raises:
        UserError: One was given; the message names it and ends with ``why``.
    """
    if given := next((name for name, value in options.items() if value), None):
        raise UserError(f"--{given}: {why}.")


def refuse_workspace(arguments: argparse.Namespace, why: str) -> None:
    """Refuse ``-d`` and ``-w``; see `refuse_given`.

    Raises:
        UserError: One was given.
    """
    refuse_given({"dataset": arguments.dataset, "workspace": arguments.workspace}, why)


def run(program: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Parse, run, and turn a `UserError` or `Interrupted` into one sentence on standard error and its exit code."""
    arguments = parser.parse_args(argv)
    configure_logging(quiet=getattr(arguments, "quiet", False))
    try:
        return program(arguments)
    except (UserError, Interrupted) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return error.exit_code
    finally:
        logging.getLogger("reactkd_auto").handlers.clear()
