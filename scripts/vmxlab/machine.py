# SPDX-License-Identifier: GPL-2.0
"""Runs of scripts/lab, for the experiments, the benchmark and the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import REPO
from .errors import LabError
from .process import tied


@dataclass(frozen=True)
class Run:
    """A finished run of the lab."""

    status: int
    stderr: str
    seconds: float
    out: Path

    @property
    def l1(self) -> str:
        """The console of L1; empty if the machine was not started."""
        return _read(self.out / "l1.console")

    @property
    def l2(self) -> str:
        """The console of the nested guest; empty if none was started."""
        return _read(self.out / "l2.console")

    def file(self, name: str) -> str:
        """A text file that L1 left in /out; raises OSError if it left none of that name."""
        return (self.out / "out" / name).read_text(encoding="utf-8", errors="replace")

    def checked(self) -> Run:
        """This run; raises LabError, with the end of what was said, if its status is not 0."""
        if self.status == 0:
            return self
        raise LabError(f"the lab ended with status {self.status}:\n{self.l1[-1500:]}\n"
                       f"{self.stderr[-1500:]}", f"Its files are in {self.out}.")


def lab(out: Path, *words: object, l1: str | Path = "", l2: str | Path = "",
        env: Mapping[str, str] | None = None) -> Run:
    """Run scripts/lab with these words of its command line, and files in `out`.

    A script for L1 or L2 is a text or a file. `env` adds to the environment.
    """
    with tempfile.TemporaryDirectory(prefix="vmxscope-scripts-") as scratch:
        command: list[object] = [REPO / "scripts/lab", "--quiet", "--out", out, *words]
        for name, script in (("l1", l1), ("l2", l2)):
            if isinstance(script, str) and script:
                file = Path(scratch, name)
                file.write_text(script, encoding="utf-8")
                command += [f"--{name}", file]
            elif script:
                command += [f"--{name}", script]
        began = time.monotonic()
        done = subprocess.run(tied(*map(str, command), end=signal.SIGTERM), capture_output=True,
                              text=True, check=False, env={**os.environ, **(env or {})})
        return Run(done.returncode, done.stderr, time.monotonic() - began, out)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
