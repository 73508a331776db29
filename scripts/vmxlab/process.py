# SPDX-License-Identifier: GPL-2.0
"""Child processes that end with the process that started them."""

from __future__ import annotations

import signal
from pathlib import Path


def tied(*command: str | Path, end: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command line of a child that gets the signal `end` once its parent is gone.

    So nothing is left behind by a program that was killed and could not clean up.
    """
    return ["setpriv", f"--pdeathsig={end.name.removeprefix('SIG')}", *map(str, command)]
