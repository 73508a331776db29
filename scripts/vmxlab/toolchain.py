# SPDX-License-Identifier: GPL-2.0
"""The compilers that build kernels and modules, and how make is told of them."""

import functools
import os
import subprocess
from pathlib import Path

from .errors import LabError

REPO = Path(__file__).resolve().parents[2]


def _first_line(*command: str, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=env, cwd=REPO
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(
            f"{command[0]} does not run: {error}",
            "`make setup` installs what the build needs and says what it could not.",
        ) from error
    return done.stdout.splitlines()[0]


@functools.cache
def chosen() -> dict[str, str]:
    """What `make setup` chose: LLVM, RUSTC, BINDGEN and the like, by name."""
    command = [str(REPO / "scripts/setup"), "--print-env"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(
            "something that builds need is missing:\n" + done.stderr.strip(),
            "`make setup` installs it, and says what it could not.",
        )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def llvm() -> str:
    """The suffix of the LLVM tools (`-19`), as make's LLVM= takes it."""
    return chosen()["LLVM"]


@functools.cache
def make_env() -> dict[str, str]:
    """The environment that kernel builds run in, the same for each user."""
    env = {
        k: v
        for k, v in os.environ.items()
        # Flags meant for our own make or for other programs would leak into
        # the kernel's build, and into what the key of a build says.
        if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT",
                     "LLVM", "RUSTFLAGS", "CARGO_TARGET_DIR", "KCFLAGS", "KRUSTFLAGS", "W", "M", "O")
    }
    tools = dict.fromkeys(str(Path(chosen()[name]).parent) for name in ("RUSTC", "BINDGEN"))
    env["PATH"] = ":".join([*tools, env.get("PATH", "")])
    for name in ("LIBCLANG_PATH", "RUST_LIB_SRC"):
        env[name] = chosen()[name]
    env["LC_ALL"] = "C"
    # Fixed, so that the same input gives the same kernel.
    env["KBUILD_BUILD_USER"] = "vmxscope"
    env["KBUILD_BUILD_HOST"] = "lab"
    return env


@functools.cache
def versions() -> list[str]:
    """One line a tool, as it goes into the key of what it builds."""
    env = make_env()
    return [
        _first_line(f"clang{llvm()}", "--version"),
        _first_line(f"ld.lld{llvm()}", "--version"),
        _first_line("rustc", "--version", env=env),
        _first_line(chosen()["BINDGEN"], "--version", env=env),
    ]


def jobs() -> int:
    """How many compilers may run at once."""
    return len(os.sched_getaffinity(0))
