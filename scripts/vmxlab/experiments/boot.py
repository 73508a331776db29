# SPDX-License-Identifier: GPL-2.0
"""The exits of a guest's boot over time, and what a reboot of the guest adds.

The host's own figures are recorded four times a second while one guest runs,
the only one of that host; the guest says when its init ran, and what its kernel
logged when. It then reboots, and does the same again.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from itertools import pairwise
from typing import Any

from vmxlab import guest, views
from vmxlab.errors import LabError
from vmxlab.report import html, svg
from vmxlab.views import Counts, Number, View

from . import common
from .common import Experiment, grouped

# What the guest's kernel logs when a phase of its boot begins.
LOGGED = (
    (r"smpboot: CPU0:|Allowing \d+ CPUs?", "CPUs"),
    (r"devtmpfs: initialized|Trying to unpack rootfs", "drivers"),
    (r"Freeing unused kernel image|Run /init as init", "init"),
)
# What the guest's script has the kernel log as soon as it has read its exits.
MARK = "vmxscope: the view was made"
TRIPLE_FAULT = 2
DRAWN = 6

# What the guest said of one of its boots.
Boot = dict[str, Any]


def recording(text: str, last: int) -> tuple[list[float], list[View]]:
    """The views of a recording, and when each was made (Unix time in seconds).

    The last is that of the guest standing still after `last` exits, of which the host's
    table is. What comes after it is of QEMU's end, and then of a host without a guest.
    """
    made = [line["view"] for line in map(json.loads, text.splitlines()) if "view" in line]
    while made and made[-1]["total"]["exits"] != last:
        made.pop()
    if not made:
        raise LabError(f"no view of the recording has the {last} exits of the host's table",
                       "The guest stood still for too short a time: run it again.")
    return [one["unix_ms"] / 1000 for one in made], made


class Curve:
    """Counts by reason over time, of the host's only guest."""

    def __init__(self, times: list[float], made: list[View]) -> None:
        self.times = times
        first = views.counts(made[0])
        self.counts = [views.added(first, views.counts(one)) for one in made]

    def at(self, when: float) -> dict[int, float]:
        """The counts at a moment, between two views in proportion."""
        place = bisect_right(self.times, when)
        if place in (0, len(self.times)):
            return {**self.counts[0 if place == 0 else -1]}
        before, after = self.counts[place - 1], self.counts[place]
        share = (when - self.times[place - 1]) / (self.times[place] - self.times[place - 1])
        return {reason: before.get(reason, 0) + share * (count - before.get(reason, 0))
                for reason, count in after.items()}

    def first_exit(self, after: float = 0) -> float:
        """When the first view was made that has more exits than that at a moment."""
        base = sum(self.at(after).values()) if after else 0
        return next(self.times[max(place - 1, 0)] for place, counts in enumerate(self.counts)
                    if self.times[place] > after and sum(counts.values()) > base)


def boots(sent: dict[str, str]) -> list[Boot]:
    """What the guest said of each of its boots."""
    found = []
    for number in range(len(sent) // 2):
        view = views.view(sent[f"boot-{number}"])
        log = [(float(at), words) for at, words in
               re.findall(r"^\[ *([\d.]+)\] (.*)$", sent[f"log-{number}"], re.M)]
        # Not by /proc/uptime: by that, init was seen to begin 39 ms after the view that it made.
        start = view["unix_ms"] / 1000 - next(at for at, words in log if words == MARK)
        phases = []
        for pattern, name in LOGGED:
            at = next((at for at, words in log if re.search(pattern, words)), None)
            if at is not None:
                phases.append((name, start + at))
        found.append({"view": view, "kernel_starts": start, "ready": view["unix_ms"] / 1000,
                      "phases": phases, "log": log})
    return found


def phases(curve: Curve, all_boots: list[Boot]) -> list[tuple[str, float]]:
    """The begin of each phase, in Unix time."""
    found: list[tuple[str, float]] = []
    for number, boot in enumerate(all_boots):
        name = "first boot" if number == 0 else f"reboot {number}"
        begin = curve.first_exit() if number == 0 else found[-1][1] + 0.001
        if number:
            # The loader and the decompression come before the kernel's clock runs.
            begin = max(begin, all_boots[number - 1]["ready"] + 0.1)
        found.append((f"{name}: loader, decompression", begin))
        found.append((f"{name}: kernel", max(boot["kernel_starts"], begin)))
        found += [(f"{name}: {phase}", at) for phase, at in boot["phases"]]
        last = number + 1 == len(all_boots)
        found.append((f"{name}: init runs{', and the end' if last else ''}", boot["ready"]))
    return found


def of_boot(all_boots: list[Boot]) -> list[Counts]:
    """What each boot took, by the guest's own reading; reading is not the boot's."""
    found: list[Counts] = []
    before: Counts = {}
    reading = 0
    for boot in all_boots:
        counts = views.counts(boot["view"])
        more = views.added(before, counts)
        more[10] = more.get(10, 0) - reading - boot["view"]["own_exits"]
        found.append(more)
        before, reading = counts, boot["view"]["read_exits"]
    return found


def by_phase(curve: Curve, marks: list[tuple[str, float]]) -> list[dict[str, Any]]:
    """The exits of each phase, and the reason that has the most of them."""
    start, rows = marks[0][1], []
    for (name, begin), (_, until) in pairwise([*marks, ("", curve.times[-1])]):
        counts = views.added(curve.at(begin), curve.at(until))
        rows.append({"phase": name, "begin": round(begin - start, 3),
                     "seconds": round(until - begin, 3), "exits": round(sum(counts.values())),
                     "most": next(iter(by_count(counts)), None)})
    return rows


def answer(took: list[Counts], rows: list[dict[str, Any]], label: dict[int, str]) -> dict[str, str]:
    """The questions of the course's assignment 3, and what they are answered here."""
    first = took[0]
    total = sum(first.values())
    order = by_count(first)
    rate = [row["exits"] / row["seconds"] for row in rows if row["seconds"] > 0.2]
    return {
        "How many exits does a full boot take?":
            f"{grouped(total)}, from the VM's start until its init runs.",
        "What does a reboot of the guest add?": "; ".join(
            f"reboot {number}: {grouped(sum(more.values()))}, which is "
            f"{sum(more.values()) / total:.2f} times the first boot, among them "
            f"{more.get(TRIPLE_FAULT, 0)} triple fault, by which it rebooted"
            for number, more in enumerate(took[1:], 1)) + ".",
        "Which reason is the most frequent?":
            f"{label[order[0]]} ({order[0]}): {grouped(first[order[0]])} exits, "
            f"{100 * first[order[0]] / total:.1f} % of the boot's.",
        "Which is the least frequent, not counting zero?": ", ".join(
            f"{label[reason]} ({reason})" for reason in order
            if first[reason] == first[order[-1]]) + f": {grouped(first[order[-1]])}.",
        "Do exits grow at a stable rate?":
            f"No: from {grouped(round(min(rate)))} to {grouped(round(max(rate)))} a second of "
            "the emulated machine's time, by phase.",
    }


def by_count(counts: dict[int, Number]) -> list[int]:
    """The reasons, the most frequent first."""
    return sorted(counts, key=lambda reason: (-counts[reason], reason))


def run(experiment: Experiment) -> None:
    """Make the experiment, and its report."""
    reboots = experiment.file("reboots", "1\n" if experiment.short else "2\n")
    cli = guest.vmxscope()
    experiment.say("one guest that boots, and boots again")
    lab = experiment.lab(
        "boot", "--l1", common.SCRIPTS / "boot-l1", "--l2", common.SCRIPTS / "boot-l2",
        "--add", f"{cli}:lab/vmxscope", "--add-guest", f"{cli}:lab/vmxscope",
        "--add-guest", f"{reboots}:lab/reboots")
    host = views.table(lab.file("host")).exits()
    times, made = recording(lab.file("boot.rec"), sum(host.values()))
    curve = Curve(times, made)
    said = boots(views.parts(lab.file("guest")))
    label = views.names(made[-1], *(boot["view"] for boot in said))
    took = of_boot(said)
    marks = phases(curve, said)
    start = marks[0][1]
    rows = by_phase(curve, marks)
    answers = answer(took, rows, label)
    ends = [at - start for at in times if at > start]
    samples = [views.added(a, b) for a, b in pairwise(curve.counts)][-len(ends):]
    top = by_count(took[0])[:DRAWN]
    series = [(label[r], [float(s.get(r, 0)) for s in samples]) for r in top]
    series.append(("others", [float(sum(n for r, n in s.items() if r not in top))
                              for s in samples]))
    drawn = svg.over_time("Exits by reason over two boots of a guest, four times a second",
                          series, ends, [(at - start, name) for name, at in marks])
    experiment.file("boot.svg", drawn)
    shown = html.Page("The exits of a boot, and of a reboot", experiment.about())
    shown.points([f"{question} {words}" for question, words in answers.items()])
    shown.figure(drawn, "Exits a second by reason, in each quarter of a second of the emulated "
                        "machine.")
    shown.heading("By phase")
    shown.text("Counts at the begin of a phase are taken in proportion between two views.")
    shown.table(["phase", "begins (s)", "lasts (s)", "exits", "a second", "most by"], [
        [row["phase"], f"{row['begin']:.2f}", f"{row['seconds']:.2f}", grouped(row["exits"]),
         grouped(round(row["exits"] / row["seconds"])) if row["seconds"] > 0.01 else "-",
         label.get(row["most"], "-")] for row in rows])
    shown.heading("By reason")
    names = ["first boot", *(f"reboot {n}" for n in range(1, len(took)))]
    reasons = sorted({reason for counts in took for reason in counts})
    lines = [[r, label[r], *(grouped(c.get(r, 0)) for c in took)] for r in reasons]
    lines.append(["", "All exits", *(grouped(sum(c.values())) for c in took)])
    shown.table(["no.", "reason", *names], lines, words=2, total=True)
    experiment.file("boot.rec", lab.file("boot.rec"))
    guest.run_vmxscope("report", experiment.out / "boot.rec", "-o", experiment.out / "times.html")
    shown.link("times.html", "The same recording with times and histograms")
    shown.write(experiment.out / "report.html")
    experiment.write_json({
        "names": label, "boots": took, "phases": rows, "answers": answers,
        "host": host,
        "samples": [{"seconds": round(at, 3), "exits": sample}
                    for at, sample in zip(ends, samples, strict=True)]})
