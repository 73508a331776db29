# SPDX-License-Identifier: GPL-2.0
"""What the experiments share: runs of the lab, saved views of exits, and reports."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from vmxlab import bochs, qemu
from vmxlab.errors import LabError

REPO = Path(__file__).resolve().parents[2]
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
            env: dict[str, str] | None = None) -> Path | None:
        """Run scripts/lab; the folder with what L1 left, or None if a run that may fail did.

        Raises LabError with the end of the console if the run fails otherwise.
        """
        folder = self.out / "runs" / name
        command = [REPO / "scripts/lab", "--quiet", "--kernel", self.kernel, "--out", folder,
                   "--timeout", timeout, *options]
        began = time.monotonic()
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              check=False, env=env)
        self.runs.append({"name": name, "status": done.returncode,
                          "seconds": round(time.monotonic() - began, 1),
                          "options": [str(option) for option in options]})
        if done.returncode == 0:
            return folder / "out"
        console = folder / "l1.console"
        said = console.read_text(encoding="utf-8", errors="replace") if console.exists() else ""
        (folder / "stderr").write_text(done.stderr, encoding="utf-8")
        if may_fail:
            return None
        raise LabError(f"run {name} of the lab ended with status {done.returncode}:\n"
                       f"{said[-1500:]}\n{done.stderr[-1500:]}",
                       f"Its files are in {folder}.")

    def write_json(self, result: dict[str, object]) -> Path:
        """Write report.json: the result, and how it was come by."""
        made = {
            "experiment": self.name, "format": "vmxscope-experiment-1", "short": self.short,
            "command": f"scripts/experiment {self.name}{' --short' if self.short else ''}",
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.started)),
            "kernel": self.kernel, "machine": machine(), "runs": self.runs,
            "seconds": round(time.time() - self.started, 1), "notes": self.notes,
        }
        return self.file("report.json", json.dumps(made | result, indent=1) + "\n")

    def about(self) -> str:
        """A sentence on where the figures are from."""
        return (f"Made on {time.strftime('%Y-%m-%d', time.gmtime(self.started))} by "
                f"scripts/experiment {self.name}{' --short' if self.short else ''}, "
                f"Linux {self.kernel} on {machine()}. There the TSC counts emulated "
                "instructions: counts of exits mean what they say, times are no times of a "
                "real machine.")


def machine() -> str:
    """What runs the lab's L1."""
    if qemu.choose("auto") == "kvm":
        return "QEMU with KVM"
    return f"Bochs {bochs.find().version}"


def program() -> Path:
    """The static command-line program, built if need be."""
    done = subprocess.run([REPO / "scripts/build-cli"], check=False, stdout=subprocess.PIPE,
                          text=True)
    if done.returncode:
        raise LabError("vmxscope could not be built", "scripts/build-cli shows why.")
    return Path(done.stdout.strip())


def vmxscope(*arguments: object) -> str:
    """What the program prints on this machine."""
    done = subprocess.run([program(), *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise LabError(f"vmxscope {' '.join(map(str, arguments))} failed: {done.stderr.strip()}")
    return done.stdout


def read(path: Path) -> str:
    """A text file that the lab left."""
    return path.read_text(encoding="utf-8", errors="replace")


def parts(text: str) -> dict[str, str]:
    """What a guest sent, by the headings "== NAME"."""
    pieces = re.split(r"^== (\S+)\n", text, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def view(text: str) -> dict:
    """The JSON object that `vmxscope exits --json` printed somewhere in a text."""
    return json.loads(text[text.index("{"):text.rindex("}") + 1])


def names(*views: dict) -> dict[int, str]:
    """The SDM's names of the reasons that occur in views."""
    return {row["reason"]: row["name"] for one in views for row in one["reasons"]}


def counts(one: dict, figure: str = "exits") -> dict[int, int]:
    """A figure of a view by reason, without the zeros."""
    return {row["reason"]: row[figure] for row in one["reasons"] if row[figure]}


def added(before: dict[int, int], after: dict[int, int]) -> dict[int, int]:
    """By how much counts grew, without the zeros."""
    return {reason: more for reason in sorted(after)
            if (more := after[reason] - before.get(reason, 0))}


def raw_table(text: str) -> dict[int, dict[str, int]]:
    """debugfs' exit_stats_raw: rows by reason, the pseudo reasons of the interface included."""
    head, *lines = text.splitlines()
    columns = head.split("\t")[2:-1]
    found = {}
    for line in lines:
        number, _, *figures, _ = line.split("\t")
        found[int(number)] = dict(zip(columns, map(int, figures), strict=True))
    return found


def hardware(table: dict[int, dict[str, int]]) -> dict[int, int]:
    """The exits of a debugfs table by real reason, without the zeros."""
    return {reason: row["exits"] for reason, row in table.items()
            if row["exits"] and reason < 0xFFFC}


def grouped(number: int) -> str:
    """A number with separators between thousands."""
    return f"{number:,}"
