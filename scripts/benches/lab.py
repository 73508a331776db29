# SPDX-License-Identifier: GPL-2.0
"""The part that runs in the lab: what each method adds to an exit, and what it misses."""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from vmxlab.errors import LabError

from . import course

REPO = Path(__file__).resolve().parents[2]
BENCH = REPO / "tests/bench"
KINDS = {
    "cpuid": "CPUID", "hlt": "HLT, interrupt pending", "wake": "HLT, woken by a timer",
    "pio": "port I/O to userspace", "mmio": "MMIO to userspace", "wrmsr": "WRMSR, fastpath",
    "ept": "EPT violation",
}
METHODS = {
    "stock": "stock kernel, nothing counts by reason",
    "off": "ours, exit_stats=0",
    "on": "ours, without histograms",
    "histograms": "ours, with histograms",
    "course": "the course's: shared atomics in vmx_handle_exit()",
    "tracepoints": "kvm_exit and kvm_entry traced",
    "bpf": "a BPF counter on these tracepoints",
    "perf": "perf kvm stat record",
}
OURS = ("off", "on", "histograms")


@dataclass
class Plan:
    """What is to be measured: rounds of each kind, and boots, by each method."""

    out: Path
    series: str
    rounds: int
    boots: int
    methods: tuple[str, ...]
    not_run: dict[str, str] = field(default_factory=dict)


def plan(out: Path, series: str, short: bool) -> Plan:
    """What can be measured here, and why the rest cannot."""
    made = (Plan(out, series, 20, 0, tuple(name for name in METHODS if name != "perf"))
            if short else Plan(out, series, 400, 3, tuple(METHODS)))
    if short:
        made.not_run["perf"] = "the short form leaves it out"
    elif not shutil.which("perf"):
        made.not_run["perf"] = "perf is not installed: apt-get install linux-perf"
    if not course.patch(series).exists():
        made.not_run["course"] = f"there is no {course.patch(series).name}"
    made.methods = tuple(name for name in made.methods if name not in made.not_run)
    return made


def run_lab(folder: Path, *options: object) -> None:
    """One run of the lab; raises with what it said if it fails."""
    command = [REPO / "scripts/lab", "--quiet", "--out", folder, "--timeout", 3600, *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        console = folder / "l1.console"
        said = console.read_text(errors="replace")[-1500:] if console.exists() else ""
        raise LabError(f"the lab ended with status {done.returncode}:\n{said}\n"
                       f"{done.stderr[-1500:]}", f"Its files are in {folder}.")


def program(out: Path, name: str) -> Path:
    """A C program of the benchmark, static."""
    made = out / name
    done = subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", made,
                           BENCH / f"{name}.c"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{name}.c could not be built:\n{done.stderr}", "`make setup` installs cc.")
    return made


def measure(asked: Plan) -> dict[str, dict]:
    """Figures by method, from one run of each of the two kernels."""
    out = asked.out / "lab"
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict] = {}
    for name, ours in (("stock", False), ("ours", True)):
        methods = [m for m in asked.methods if (m in OURS) == ours]
        if not methods:
            continue
        print(f"bench: in the lab, {', '.join(methods)}", flush=True)
        options = ["--kernel", asked.series, "--l1", BENCH / "methods.sh",
                   *([] if ours else ["--stock"])]
        if asked.boots:
            options += ["--add", BENCH / "boot.sh", "--l2", BENCH / "boot-l2.sh"]
        for what, text in (("rounds", asked.rounds), ("boots", asked.boots),
                           ("methods", " ".join(methods))):
            (out / what).write_text(f"{text}\n", encoding="ascii")
            options += ["--add", out / what]
        for what in ("exitkinds", "bpfcount"):
            options += ["--add", program(out, what)]
        options += ["--add-guest", out / "exitkinds"]
        if "course" in methods:
            options += ["--add", f"{course.module(asked.series)}:lab/course/kvm-intel.ko"]
        if "perf" in methods:
            options += ["--add", f"{Path(str(shutil.which('perf'))).resolve()}:usr/bin/perf"]
        run_lab(out / name, *options)
        found |= figures((out / name / "out/figures").read_text(encoding="ascii"), methods)
    return {name: found[name] for name in METHODS if name in found}


def pairs(words: list[str]) -> dict[str, int | None]:
    """Numbers by the word before each; none if the method says none."""
    found: dict[str, int | None] = {}
    last = ""
    for word in words:
        if word.isdigit():
            found[last] = int(word)
        else:
            found[word], last = None, word
    return found


def figures(text: str, methods: list[str]) -> dict[str, dict]:
    """What methods.sh left, by method."""
    found: dict[str, dict] = {name: {"kinds": {}, "exits": {}, "boots": []} for name in methods}
    for line in text.splitlines():
        method, what, *words = line.split()
        one = found[method]
        if what == "kind":
            one["kinds"][words[0]] = pairs(words[1:])
        elif what == "exits":
            one["exits"] = pairs(words)
        elif "tsc" in words:
            one["boots"].append(pairs(words))
        else:
            one["boots"][-1] |= pairs(words)
    for name, one in found.items():
        if one["kinds"].keys() != KINDS.keys() or not one["exits"].get("taken"):
            raise LabError(f"method {name} left no figures: {one}", "The lab's console has why.")
    return found


def read_out(out: Path, series: str) -> dict[str, int]:
    """What one reading of all figures costs the guest: exits, and counts of its TSC."""
    print("bench: in the lab, reading from the guest", flush=True)
    done = subprocess.run([REPO / "scripts/build-cli"], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        raise LabError("vmxscope could not be built", "scripts/build-cli shows why.")
    folder = out / "lab/read"
    run_lab(folder, "--kernel", series, "--l2", BENCH / "read-l2.sh",
            "--add-guest", out / "lab/exitkinds",
            "--add-guest", f"{done.stdout.strip()}:lab/vmxscope")
    said = (folder / "l2.console").read_text(encoding="utf-8", errors="replace")
    lines = re.findall(r"read exits (\d+) reading (\d+) (\d+) nothing (\d+) (\d+)", said)
    if not lines:
        raise LabError(f"the guest left no figures:\n{said[-800:]}", f"Its files are in {folder}.")
    rows = [tuple(map(int, line)) for line in lines]
    return {
        "cpuid_exits": statistics.median_low(row[0] for row in rows),
        "counts": statistics.median_low(row[2] - row[1] for row in rows),
        "counts_of_a_start": statistics.median_low(row[4] - row[3] for row in rows),
        "readings": len(rows),
    }
