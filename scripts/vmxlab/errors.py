# SPDX-License-Identifier: GPL-2.0
"""What goes wrong in the lab itself, as opposed to in what it tests."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Exit statuses that mean the lab or its set-up, never the result of a test.
USAGE = 64
LAB_FAILED = 69
# Those of scripts/setup, whose help explains them.
UNFIT = 3
NO_ROOT = 4
UNREACHABLE = 5
UNVERIFIED = 6
NO_SPACE = 8


class LabError(Exception):
    """A failure of the lab: what failed and with which value, and what to do next."""

    def __init__(self, message: str, hint: str = "", status: int = LAB_FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


def disk_full(folder: Path) -> LabError:
    """The error for a file system that has no room for what goes to `folder`."""
    return LabError(
        f"the disk that holds {folder} is full",
        "Free some space (`make cache-size`, `make clean-cache`), or name another cache folder "
        "with VMXSCOPE_CACHE. What is complete stays valid, and the next run goes on from it.",
        NO_SPACE,
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the operating system says about writing to `folder` into a LabError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise LabError(
                f"cannot write to {folder}: {error.strerror}",
                "Make it writable, or name another cache folder with VMXSCOPE_CACHE.",
                NO_SPACE,
            ) from error
        raise
