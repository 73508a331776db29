# SPDX-License-Identifier: GPL-2.0
"""The compilers that build kernels and modules, and how make is told of them."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from . import cache
from .errors import LabError

REPO = Path(__file__).resolve().parents[2]
BINDGEN_VERSION = "0.73.0"


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
def llvm() -> str:
    """The suffix of the LLVM tools (`-19`), as make's LLVM= takes it."""
    own = os.environ.get("LLVM")
    if own:
        return own
    return _first_line(str(REPO / "scripts/setup"), "--print-llvm")


@functools.cache
def bindgen() -> Path:
    """The bindgen that `make setup` put into the cache, or the one in PATH."""
    kept = cache.root() / f"tools/bindgen-{BINDGEN_VERSION}/bin/bindgen"
    if kept.exists():
        return kept
    found = shutil.which("bindgen")
    if not found:
        raise LabError("bindgen is not installed", "`make setup` installs it.")
    return Path(found)


@functools.cache
def make_env() -> dict[str, str]:
    """The environment that kernel builds run in, the same for each user."""
    env = {
        k: v
        for k, v in os.environ.items()
        # Flags meant for our own make or for other programs would leak into
        # the kernel's build, and into what the key of a build says.
        if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT",
                     "RUSTFLAGS", "CARGO_TARGET_DIR", "KCFLAGS", "KRUSTFLAGS", "W", "M", "O")
    }
    env["PATH"] = f"{bindgen().parent}:{env.get('PATH', '')}"
    env["LC_ALL"] = "C"
    # Fixed, so that the same input gives the same kernel.
    env["KBUILD_BUILD_USER"] = "vmxscope"
    env["KBUILD_BUILD_HOST"] = "lab"
    # The kernel's rustc is the toolchain of this repository wherever make runs.
    env.setdefault("RUSTUP_TOOLCHAIN", rust_channel())
    return env


@functools.cache
def rust_channel() -> str:
    """The toolchain that rust-toolchain.toml names."""
    import tomllib

    with open(REPO / "rust-toolchain.toml", "rb") as file:
        return tomllib.load(file)["toolchain"]["channel"]


@functools.cache
def versions() -> list[str]:
    """One line a tool, as it goes into the key of what it builds."""
    env = make_env()
    return [
        _first_line(f"clang{llvm()}", "--version"),
        _first_line(f"ld.lld{llvm()}", "--version"),
        _first_line("rustc", "--version", env=env),
        _first_line(str(bindgen()), "--version"),
    ]


def jobs() -> int:
    """How many compilers may run at once."""
    return len(os.sched_getaffinity(0))
