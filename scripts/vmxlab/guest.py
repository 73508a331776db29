# SPDX-License-Identifier: GPL-2.0
"""Programs that are put into the lab's machines: static, for there are no libraries."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import REPO
from .errors import LabError


def build_c(source: Path, folder: Path) -> Path:
    """Compile a C program into `folder`; raises LabError with what the compiler said."""
    program = folder / source.stem
    done = subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", program,
                           source], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{source} does not compile:\n{done.stderr.strip()}")
    return program


def vmxscope() -> Path:
    """The command-line program, built if need be."""
    done = subprocess.run([REPO / "scripts/build-cli"], check=False, stdout=subprocess.PIPE,
                          text=True)
    if done.returncode:
        raise LabError("vmxscope could not be built", "scripts/build-cli shows why.")
    return Path(done.stdout.strip())


def run_vmxscope(*arguments: object) -> str:
    """What the command-line program prints on this machine."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run([vmxscope(), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"vmxscope {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout
