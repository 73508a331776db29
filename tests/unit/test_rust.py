# SPDX-License-Identifier: GPL-2.0
"""What is built with cargo can be built with the oldest Rust that `make setup` takes."""

import json
import os
import re
import subprocess

from vmxlab import REPO


def version(text: str) -> tuple[int, ...]:
    """A dotted version as numbers, of the length that two can be compared at."""
    return tuple(int(number) for number in f"{text}.0.0".split(".")[:3])


def test_no_package_asks_for_a_newer_rust_than_setup_does() -> None:
    # Debian 13's own rustc is the oldest: without rustup, setup takes that.
    setup = (REPO / "scripts/setup").read_text(encoding="utf-8")
    [oldest] = re.findall(r"^RUST_MIN=([\d.]+)", setup, re.M)
    cargo = os.environ.get("CARGO", "cargo")
    done = subprocess.run([cargo, "metadata", "--format-version", "1", "--locked"], cwd=REPO,
                          capture_output=True, text=True, check=True)
    packages = json.loads(done.stdout)["packages"]
    assert len(packages) > 50
    newer = {f"{one['name']} {one['version']}": one["rust_version"] for one in packages
             if version(one["rust_version"] or "1") > version(oldest)}
    assert not newer, f"these need a newer Rust than {oldest}"
