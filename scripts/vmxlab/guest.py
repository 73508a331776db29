# SPDX-License-Identifier: GPL-2.0
"""Programs that are put into the lab's machines: static, for there are no libraries."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import REPO
from .errors import LabError
from .progress import Step

TARGET = "x86_64-unknown-linux-gnu"


def build_c(source: Path, folder: Path) -> Path:
    """Compile a C program into `folder`; raises LabError with what the compiler said."""
    program = folder / source.stem
    done = subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", program,
                           source], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{source} does not compile:\n{done.stderr.strip()}")
    return program


def vmxscope() -> Path:
    """The command-line program, one static file, built if need be."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPO / "target")
    packages = subprocess.run(
        ["cargo", "tree", "--locked", "--package", "vmxscope", "--edges", "normal,build",
         "--prefix", "none"], cwd=REPO, capture_output=True, text=True, check=False)
    units = len(set(packages.stdout.splitlines()))
    command = ["cargo", "build", "--quiet", "--locked", "--release", "--package", "vmxscope",
               "--target", TARGET, "--message-format=json-render-diagnostics"]
    env = {**os.environ, "RUSTFLAGS": "-C target-feature=+crt-static"}
    step: Step | None = None
    with subprocess.Popen(command, cwd=REPO, env=env, stdout=subprocess.PIPE, text=True) as cargo:
        assert cargo.stdout
        for line in cargo.stdout:
            if '"reason":"compiler-artifact"' in line and '"fresh":false' in line:
                step = step or Step("Building vmxscope", units, "crates")
                step.tick()
    if cargo.returncode:
        raise LabError("vmxscope could not be built", "cargo said why above.")
    if step:
        step.done()
    return target / TARGET / "release/vmxscope"


def run_vmxscope(*arguments: object) -> str:
    """What the command-line program prints on this machine."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run([vmxscope(), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"vmxscope {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout
