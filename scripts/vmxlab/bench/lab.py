# SPDX-License-Identifier: GPL-2.0
"""The part that runs in the lab: what each method adds to an exit, and what it misses."""

from __future__ import annotations

import re
import shutil
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmxlab import REPO, guest, kernel, kvm, machine
from vmxlab.errors import LabError

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
    "causes": "ours, with histograms and the causes",
    "beside": "vmx_exits beside an unmodified KVM, with histograms",
    "removed": "the same KVM, after rmmod vmx_exits",
    "course": "the course's: shared atomics in vmx_handle_exit()",
    "tracepoints": "kvm_exit and kvm_entry traced",
    "bpf": "a BPF counter on these tracepoints",
    "bpf-keys": "the same, and BPF maps by the keys that the causes have",
    "hist": "ftrace's hist triggers by these keys",
    "perf": "perf kvm stat record, with the events of these keys",
}
OURS = ("off", "on", "histograms", "causes")
# The methods for one kind of exit alone: those that need nothing but the two kernels.
ALONE = ("stock", "off", "on", "histograms", "causes", "beside", "removed", "tracepoints")

# What was found of a method: figures by kind, and counts of exits.
Method = dict[str, Any]


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
    if not (patch := kvm.course_patch(series)).exists():
        made.not_run["course"] = f"there is no {patch.name}"
    made.methods = tuple(name for name in made.methods if name not in made.not_run)
    return made


def run(folder: Path, *options: object) -> machine.Run:
    """One run of the lab; raises LabError with what it said if it fails."""
    return machine.lab(folder, "--timeout", 3600, *options).checked()


def measure(asked: Plan) -> dict[str, Method]:
    """Figures by method, from one run of each of the two kernels."""
    out = asked.out / "lab"
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Method] = {}
    for name, ours in (("stock", False), ("ours", True)):
        methods = [m for m in asked.methods if (m in OURS) == ours]
        if not methods:
            continue
        print(f"bench: in the lab, {', '.join(methods)}", flush=True)
        options: list[object] = ["--kernel", asked.series, "--l1", BENCH / "methods.sh",
                   *([] if ours else ["--stock"])]
        if asked.boots:
            options += ["--add", BENCH / "boot.sh", "--l2", BENCH / "boot-l2.sh"]
        for what, text in (("rounds", asked.rounds), ("boots", asked.boots),
                           ("methods", " ".join(methods))):
            (out / what).write_text(f"{text}\n", encoding="ascii")
            options += ["--add", out / what]
        for what in ("exitkinds", "bpfcount"):
            options += ["--add", guest.build_c(BENCH / f"{what}.c", out)]
        options += ["--add-guest", out / "exitkinds"]
        if "course" in methods:
            base = kernel.base(f"small-{asked.series}")
            options += [word for path in kvm.modules(base, "course").modules
                        for word in ("--add", f"{path}:lab/course/{path.name}")]
        if "perf" in methods:
            options += ["--add", f"{Path(str(shutil.which('perf'))).resolve()}:usr/bin/perf"]
        found |= figures(run(out / name, *options).file("figures"), methods)
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


def figures(text: str, methods: list[str]) -> dict[str, Method]:
    """What methods.sh left, by method."""
    found: dict[str, Method] = {name: {"kinds": {}, "exits": {}, "boots": []} for name in methods}
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
    folder = out / "lab/read"
    said = run(folder, "--kernel", series, "--l2", BENCH / "read-l2.sh",
               "--add-guest", out / "lab/exitkinds",
               "--add-guest", f"{guest.vmxscope()}:lab/vmxscope").l2
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
