# SPDX-License-Identifier: GPL-2.0
"""What the programs in scripts/ share: their command line, and how they end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from . import tools
from .errors import UNAVAILABLE, USAGE, LabError

INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """The command line of a program, whose docstring is its help; wrong usage has status 64."""

    def __init__(self, description: str | None = None, epilog: str | None = None,
                 prog: str | None = None) -> None:
        super().__init__(prog=prog or f"scripts/{_name()}", description=description, epilog=epilog,
                         formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say how the program is called, and end."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(run: Callable[[], int | None], *sets: str, inside: bool = True) -> NoReturn:
    """Run a program inside the private tools, and end with the status that it returns.

    `sets` names those that it needs (default: the lab's); a program that is to run on
    the machine itself is told so by `inside`.

    A LabError is printed, and ends it with its own status; an error of the operating
    system with 69; Ctrl-C, SIGTERM and SIGHUP with 130. A reader that goes away
    (`program | head`) is no error.
    """
    try:
        if inside:
            tools.enter(*(sets or ("lab",)))
        terminate_on_signals()
        status = run() or 0
        sys.stdout.flush()
    except LabError as error:
        print(f"{_name()}: {error}", file=sys.stderr)
        status = error.status
    except KeyboardInterrupt:
        print(f"{_name()}: interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        # Without Python's own end, which would complain that it cannot write.
        os._exit(0)
    except OSError as error:
        # Python's own OSErrors (`out of pty devices`) have no number, and so no strerror.
        what = error.strerror or str(error)
        print(f"{_name()}: {error.filename}: {what}" if error.filename else f"{_name()}: {what}",
              file=sys.stderr)
        status = UNAVAILABLE
    sys.exit(status)


def _name() -> str:
    return Path(sys.argv[0]).name


def terminate_on_signals() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that no machine is left behind."""

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
