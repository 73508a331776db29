# SPDX-License-Identifier: GPL-2.0
"""The benchmark: what accounting costs, by our method and by each alternative."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

from vmxlab import kernel
from vmxlab.experiments.common import emulator

from . import cpu, lab, page


def measure(out: Path, series: str, short: bool) -> dict[str, Any]:
    """All figures, as bench.json has them."""
    started = time.time()
    marks = [("begin", started)]
    asked = lab.plan(out, series, short)
    methods = lab.measure(asked)
    marks.append(("the methods in the lab", time.time()))
    reading = None if short else lab.read_out(out, series)
    marks.append(("reading in the lab", time.time()))
    side = cpu.side_by_side(out, short)
    marks.append(("the designs side by side", time.time()))
    criterion = cpu.criterion(out, short)
    marks.append(("criterion", time.time()))
    counted = "the short form leaves it out" if short else cpu.instructions(out)
    marks.append(("callgrind", time.time()))
    took = {name: round(end - begin, 1)
            for (_, begin), (name, end) in zip(marks, marks[1:], strict=False)}
    result: dict[str, Any] = {
        "format": "vmxscope-bench-1", "short": short,
        "command": "scripts/bench --short" if short else "make bench",
        "date": time.strftime("%Y-%m-%d", time.gmtime(started)),
        "machine": {"cpu": cpu.model(), "lab": emulator(), "kernel": release(series)},
        "seconds": took | {"all": round(time.time() - started, 1), "cpu": round(cpu_time(), 1)},
        "lab": {"rounds": asked.rounds, "boots": asked.boots, "methods": methods,
                "not_run": asked.not_run},
        "reading": reading,
        "cpu": {"side_by_side": side, "criterion": criterion, "instructions": counted},
    }
    return result | {"targets": page.targets(result)}


def measure_alone(out: Path, series: str, kind: str) -> str:
    """What one kind of exit costs in the lab, as a page."""
    asked = lab.Plan(out, series, 400, 0, lab.ALONE)
    methods = lab.measure(asked)
    return (f"{lab.KINDS[kind]}, {asked.rounds} exits by each method, in the lab on {emulator()}, "
            f"Linux {release(series)}; counts of the emulated TSC.\n\n"
            f"{page.alone(methods, kind)}")


def release(series: str) -> str:
    """What uname -r says in the lab."""
    return kernel.base(f"small-{series}").version


def cpu_time() -> float:
    """Seconds that programs of ours have run on a CPU, whatever else the machine does."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
