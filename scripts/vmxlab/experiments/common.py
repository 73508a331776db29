# SPDX-License-Identifier: GPL-2.0
"""What the experiments share: their runs of the lab, and their reports."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vmxlab import bochs, machine, qemu

SCRIPTS = Path(__file__).resolve().parent / "lab"


@dataclass
class Experiment:
    """One experiment that is being made: what was asked for, and where it goes."""

    name: str
    out: Path
    kernel: str = "6.12"
    short: bool = False
    notes: list[str] = field(default_factory=list)
    runs: list[dict[str, object]] = field(default_factory=list)
    started: float = field(default_factory=time.time)

    def say(self, text: str) -> None:
        """Tell who waits what is being done."""
        print(f"{self.name}: {text}", flush=True)

    def file(self, name: str, text: str) -> Path:
        """Write a file that the lab is to have, or that is part of the report."""
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def lab(self, name: str, *options: object, timeout: int = 1800, may_fail: bool = False,
            env: Mapping[str, str] | None = None) -> machine.Run:
        """Run scripts/lab, as machine.lab does.

        Raises LabError with the end of the console if the run fails and may not.
        """
        series = () if "--base" in options else ("--kernel", self.kernel)
        run = machine.lab(self.out / "runs" / name, *series, "--timeout", timeout, *options,
                          env=env)
        self.runs.append({"name": name, "status": run.status, "seconds": round(run.seconds, 1),
                          "options": [str(option) for option in options]})
        return run if may_fail else run.checked()

    def write_json(self, result: dict[str, object]) -> Path:
        """Write report.json: the result, and how it was come by."""
        made = {
            "experiment": self.name, "format": "vmxscope-experiment-1", "short": self.short,
            "command": f"scripts/experiment {self.name}{' --short' if self.short else ''}",
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.started)),
            "kernel": self.kernel, "machine": emulator(), "runs": self.runs,
            "seconds": round(time.time() - self.started, 1), "notes": self.notes,
        }
        return self.file("report.json", json.dumps(made | result, indent=1) + "\n")

    def about(self) -> str:
        """A sentence on where the figures are from."""
        return (f"Made on {time.strftime('%Y-%m-%d', time.gmtime(self.started))} by "
                f"scripts/experiment {self.name}{' --short' if self.short else ''}, "
                f"Linux {self.kernel} on {emulator()}. There the TSC counts emulated "
                "instructions: counts of exits mean what they say, times are no times of a "
                "real machine.")


def emulator() -> str:
    """What runs the lab's L1."""
    if qemu.choose("auto") == "kvm":
        return "QEMU with KVM"
    return f"Bochs {bochs.find().version}"


def grouped(number: int) -> str:
    """A number with separators between thousands."""
    return f"{number:,}"
