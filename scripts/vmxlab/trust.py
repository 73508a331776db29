# SPDX-License-Identifier: GPL-2.0
"""Checks of the Rust beyond its tests; scripts/trust has what each is for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vmxlab import REPO, rust
from vmxlab.errors import USAGE, LabError
from vmxlab.progress import Step

KERNEL = ("vmx-caps", "exit-stats")
PACKAGES = [word for name in KERNEL for word in ("--package", name)]
# Tests look for files, and proptest for its own.
FILES = "-Zmiri-disable-isolation"
# The rules of aliasing take twenty times as long, and only boundary.rs can break them:
# everything else forbids unsafe code. Both drafts of these rules are tried.
RULES: tuple[tuple[str, str, list[str]], ...] = (
    ("Miri: the boundary, by Stacked Borrows", "", ["--package", "exit-stats", "--test=boundary"]),
    ("Miri: the boundary, by Tree Borrows", "-Zmiri-tree-borrows",
     ["--package", "exit-stats", "--test=boundary"]),
    ("Miri: all tests", "-Zmiri-disable-stacked-borrows", PACKAGES),
)
# What a model has to notice, if it is one.
WEAKER = ("release", "acquire")
# A build that takes minutes instead of a quarter of an hour, and runs as fast.
QUICK = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
    "CARGO_PROFILE_RELEASE_STRIP": "none",
}
FUZZ = REPO / "guest-tools/fuzz"


def _run(title: str, command: Sequence[str | Path], env: Mapping[str, str]) -> None:
    """Run a check, which says by itself what it finds."""
    with Step(title):
        done = subprocess.run(command, cwd=REPO, env={**os.environ, **env}, check=False)
        if done.returncode:
            raise LabError(f"{title}: it found something", "It is said above.", 1)


def miri() -> None:
    """Run the tests of both kernel crates in Miri, with fewer random cases."""
    path = f"{rust.nightly()}:{os.environ['PATH']}"
    for title, flags, words in RULES:
        _run(title, ["cargo", "miri", "test", "--quiet", *words],
             {"PATH": path, "MIRIFLAGS": f"{FILES} {flags}", "PROPTEST_CASES": "3"})


def loom() -> None:
    """Run the models, and with each ordering made weaker, by which each has to fail."""
    command = ["cargo", "test", "--quiet", "--release", "--package", "exit-stats", "--test=models"]
    for weaker in ("", *WEAKER):
        title = f"Models, with {weaker} made weaker" if weaker else "Models"
        flags = f'--cfg loom_weaker="{weaker}"' if weaker else ""
        _run(title, command, {"RUSTFLAGS": f"--cfg loom {flags}",
                              "CARGO_TARGET_DIR": "target/loom", **QUICK})


def targets() -> list[str]:
    """The names of the fuzz targets: each has a corpus, as a cargo test ensures."""
    return sorted(folder.name for folder in (FUZZ / "corpus").iterdir())


def fuzz(minutes: float, wanted: Sequence[str]) -> None:
    """Look for inputs that make a target panic, take long, or take much memory.

    It begins with the corpus of the repository and what earlier runs found of interest,
    which is in target/fuzz. No sanitizer is used: the program is safe Rust, so stable Rust
    does, and panics are what there is to be found.
    """
    known = targets()
    for name in wanted:
        if name not in known:
            raise LabError(f"there is no target {name!r}", f"There are {', '.join(known)}.", USAGE)
    tool = rust.cargo_tool("cargo-fuzz")
    build = REPO / "target/fuzz/build"
    _run("Building the fuzzer", [tool, "fuzz", "build", "--sanitizer=none", f"--fuzz-dir={FUZZ}",
                                 f"--target-dir={build}"], QUICK)
    [program] = build.glob("*/release/fuzz")
    for name in wanted or known:
        found = REPO / "target/fuzz" / name
        found.mkdir(parents=True, exist_ok=True)
        _run(f"Fuzzing {name}",
             [program, found, FUZZ / "corpus" / name, f"-max_total_time={round(minutes * 60)}",
              "-max_len=16384", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
              "-verbosity=0", f"-artifact_prefix={found}-"],
             {"FUZZ_TARGET": name})


def mutants(packages: Sequence[str], since: str | None, shard: str | None) -> None:
    """Change the code in every way that cargo-mutants knows; some test has to fail each time."""
    words = [word for name in packages for word in ("--package", name)]
    if since:
        words = []
        diff = REPO / "target/mutants.diff"
        diff.parent.mkdir(exist_ok=True)
        with diff.open("wb") as file:
            subprocess.run(["git", "diff", since], cwd=REPO, stdout=file, check=True)
        words.append(f"--in-diff={diff}")
    if shard:
        words.append(f"--shard={shard}")
    _run("Mutants", [rust.cargo_tool("cargo-mutants"), "mutants", "--config=scripts/mutants.toml",
                     "--output=target", "--no-shuffle", *words], {})
