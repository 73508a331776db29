# SPDX-License-Identifier: GPL-2.0
"""What goes wrong in the programs and the lab, as opposed to in what the lab tests."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a program ends with, as sysexits(3) has them.
USAGE, UNAVAILABLE = 64, 69


class LabError(Exception):
    """What failed and with which value, what to do next, and the program's exit status."""

    def __init__(self, message: str, hint: str = "", status: int = UNAVAILABLE) -> None:
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
        "with VMXSCOPE_CACHE. What is complete stays valid; a lab takes about 12 GB.",
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
            ) from error
        raise
