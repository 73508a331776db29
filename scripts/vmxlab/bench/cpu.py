# SPDX-License-Identifier: GPL-2.0
"""The part that runs on this machine's CPU: designs side by side, criterion, callgrind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from vmxlab import REPO
from vmxlab.errors import LabError

# What each design of kvm-instrumentation/benches/designs is.
DESIGNS = {
    "floor": "the clock read twice",
    "ours": "**ours, without histograms**",
    "histograms": "**ours, with histograms**",
    "entry": "the same, and the clock read once more at the entry",
    "shared": "the course's: two atomic additions to one table",
    "adds": "a count and a sum only",
    "jumps": "and smallest and largest, by jumps",
    "branchless": "the same without jumps",
    "flat": "64 buckets a row, 43.5 KiB a vCPU",
    "narrow": "23 buckets a row, 16 KiB a vCPU",
    "lines": "lines of eight buckets, handed out when they are needed",
    "word": "the same, a row's eight marks read as one word",
    "deferred": "64 buckets a row, for the exit before",
    "ring": "lines, for 32 exits at once",
    "inlined": "ours with histograms, without the call",
    "chain": "the floor and ten multiplications, each of the one before",
    "loads": "the floor and three loads, each of the one before",
    "apart": "the floor and three loads, each by itself",
}
READINGS = ("counters", "histograms", "cold")
TRIED = ("prefetched",)
# What another vCPU reads without a pause, while a vCPU's exits are timed.
DISTURBING = {"figure": "one figure of 64 vCPUs", "snapshot": "a snapshot of 64 vCPUs"}
VCPUS = (1, 64, 1024, 4096)
FEW, MANY = 10_000, 20_000


def cargo(out: Path, *words: str) -> str:
    """What `cargo bench` prints; raises with it if it fails."""
    env = os.environ | {"CRITERION_HOME": str(out / "criterion")}
    command = ["cargo", "bench", "-q", "--package", "exit-stats", *words]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
    return done.stdout


def side_by_side(out: Path, short: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Nanoseconds an exit and the ratio to the floor, by threads and design."""
    print("bench: on this CPU, the designs side by side", flush=True)
    text = cargo(out, "--bench", "side_by_side", *(("--", "--test") if short else ()))
    found: dict[str, dict[str, dict[str, float]]] = {}
    for threads, name, took, ratio in re.findall(
            r"threads (\d+) design (\w+) ns ([\d.]+) ratio ([\d.]+)", text):
        found.setdefault(threads, {})[name] = {"ns": float(took), "ratio": float(ratio)}
    if any(one.keys() != DESIGNS.keys() for one in found.values()) or "1" not in found:
        raise LabError(f"side_by_side did not show each design:\n{text}")
    return found


def criterion(out: Path, short: bool) -> dict[str, dict[str, float]]:
    """Criterion's medians in nanoseconds: an exit by design, a reading by vCPUs; and of
    each reading the least; and how many times as long an exit takes beside a reader.

    The short form only runs each once: then there are no medians.
    """
    print("bench: on this CPU, criterion's", flush=True)
    options = ("--", "--test") if short else ("--", "--noplot", "--quiet")
    text = cargo(out, "--bench", "record", "--bench", "read", *options)
    found: dict[str, dict[str, float]] = {f"read_{name}_least": {} for name in (*READINGS, *TRIED)}
    for name, vcpus, least in re.findall(r"^read\w* (\w+) vcpus (\d+) least (\d+)$", text, re.M):
        found[f"read_{name}_least"][vcpus] = int(least)
    if any(len(one) != len(VCPUS) for one in found.values()):
        raise LabError(f"read did not show each number of vCPUs:\n{text}")
    disturbed = re.findall(r"^disturb (\w+) alone \S+ beside \S+ ratio ([\d.]+)$", text, re.M)
    if disturbed:  # With one CPU there is none to read beside.
        found["disturb"] = {name: float(ratio) for name, ratio in disturbed}
    if short:
        return {}

    def median(*names: str) -> float:
        path = out.joinpath("criterion", *names, "new/estimates.json")
        return float(json.loads(path.read_text(encoding="utf-8"))["median"]["point_estimate"])

    found["record"] = {name: round(median("record", name) / 1000, 2) for name in DESIGNS}
    for name in READINGS:
        found[f"read_{name}"] = {str(n): round(median("read", name, str(n))) for n in VCPUS}
    return found


def instructions(out: Path) -> dict[str, float] | str:
    """Instructions an exit by design, from callgrind; or why there are none."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed: apt-get install valgrind"
    print("bench: instructions, by callgrind", flush=True)
    listed = cargo(out, "--bench", "side_by_side", "--no-run", "--message-format=json")
    made = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
    program = next(one["executable"] for one in made if one.get("executable")
                   and one["target"]["name"] == "side_by_side")

    def executed(name: str, exits: int) -> int:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "--only",
             name, str(exits)], capture_output=True, text=True, check=False)
        match = re.search(r"Collected : (\d+)", done.stderr)
        if not match:
            raise LabError(f"callgrind counted nothing for {name}:\n{done.stderr[-1000:]}")
        return int(match[1])

    return {name: round((executed(name, MANY) - executed(name, FEW)) / (MANY - FEW), 1)
            for name in DESIGNS}


def model() -> str:
    """What this machine's CPU says of itself."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = re.findall(r"^model name\s*: (.*)$", text, re.M)
    number = dict(re.findall(r"^(cpu family|model|stepping)\s*: (\d+)$", text, re.M))
    virtual = ", a virtual machine" if re.search(r"^flags.* hypervisor\b", text, re.M) else ""
    name = names[0] if names else "unknown CPU"
    return (f"{name} (family {number.get('cpu family')}, model {number.get('model')}, "
            f"stepping {number.get('stepping')}), {len(names)} CPUs{virtual}")
