# SPDX-License-Identifier: GPL-2.0
"""Rust that Debian does not have: a nightly toolchain with Miri, and tools that cargo builds.

All of it lies in the cache folder. Debian's rustup, which conflicts with Debian's rustc, is
unpacked beside the root and only fetches the toolchain.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vmxlab import cache, tools
from vmxlab.errors import UNREACHABLE, LabError
from vmxlab.progress import Step

# The one place that names it. Nothing but Miri needs it.
NIGHTLY = "nightly-2026-05-20"
COMPONENTS = ("miri", "rust-src")
# The newest that Debian's cargo builds.
VERSIONS = {"cargo-fuzz": "0.12.0", "cargo-mutants": "25.3.1"}


def _run(what: str, command: list[str | Path], env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise LabError(f"{what}: {done.stderr.strip()[-600:]}",
                       "Check that the network reaches where it comes from, and run this again.",
                       UNREACHABLE)


def nightly() -> Path:
    """The folder of the nightly toolchain's programs, fetched if need be."""

    def build(folder: Path) -> None:
        with Step("Fetching Debian's rustup") as step:
            debs = tools.apt().download_exact(step, "rustup")
            for deb in debs.glob("rustup_*.deb"):
                _run("rustup cannot be unpacked", ["dpkg-deb", "-x", deb, folder / "rustup"])
                deb.unlink()
        with Step(f"Fetching Rust {NIGHTLY} with Miri"):
            _run(f"Rust {NIGHTLY} cannot be fetched",
                 [folder / "rustup/usr/bin/rustup", "toolchain", "install", NIGHTLY,
                  "--profile=minimal", "--no-self-update",
                  *(f"--component={name}" for name in COMPONENTS)],
                 os.environ | {"RUSTUP_HOME": str(folder / "home")})

    folder = cache.entry("rust", cache.digest(NIGHTLY, COMPONENTS), build,
                         what=f"Rust {NIGHTLY}, {' and '.join(COMPONENTS)}")
    return next((folder / "home/toolchains").glob("*/bin"))


def cargo_tool(name: str) -> Path:
    """A tool of crates.io, built if need be, of the version that is named above."""
    version = VERSIONS[name]

    def build(folder: Path) -> None:
        with Step(f"Building {name} {version}"):
            _run(f"{name} {version} cannot be built",
                 ["cargo", "install", "--quiet", "--locked", "--debug", "--root", folder,
                  "--target-dir", folder / "target", f"{name}@{version}"])
            _run("rm", ["rm", "-r", folder / "target"])

    key = cache.digest(name, version, tools.versions("rustc"))
    return cache.entry("rust", key, build, what=f"{name} {version}") / "bin" / name
