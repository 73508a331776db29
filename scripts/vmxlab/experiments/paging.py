# SPDX-License-Identifier: GPL-2.0
"""Nested paging against shadow paging: assignment 4 of the course.

The same nested guest is booted with EPT and without it, on a Haswell, and on a
Penryn, which has none. It reads its own exits after the boot and after each
part of a small workload.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from vmxlab import guest, views
from vmxlab.errors import LabError
from vmxlab.report import html, svg
from vmxlab.views import Counts, View

from . import common
from .common import Experiment, grouped

STEPS = ("boot", "fork", "file", "timer", "network")
WHAT = {
    "boot": "from the start of the VM until its init runs",
    "fork": "processes that start and end",
    "file": "a file that is written to memory and removed",
    "timer": "processes that sleep for a millisecond",
    "network": "a TCP connection to itself over the loopback device",
}
TITLES = {"ept": "Haswell, ept=1", "shadow": "Haswell, ept=0", "penryn": "Penryn (no EPT)"}
CPUID = 10

# Why a reason's count differs.
WHY = {
    0: "Without EPT KVM builds shadow page tables from the guest's and intercepts its page "
       "faults: the first access to each page, each write to a page table that is "
       "write-protected, and the guest's own faults. With EPT page faults do not exit.",
    14: "INVLPG drops an entry of the shadow page tables too, so KVM has to see it. With EPT the "
        "guest's TLB is its own affair.",
    28: "A load of CR3 means another set of shadow page tables, so each switch of address spaces "
        "exits. With EPT only the few writes to CR0 and CR4 that KVM shadows do.",
    48: "EPT violations are faults of the second level of paging: the first access to memory of "
        "the guest for which KVM has not yet set up a page. Without EPT there is no such level.",
    49: "An EPT misconfiguration is how KVM learns of device memory (MMIO). Without EPT the same "
        "accesses are page faults (reason 0), by a reserved bit in the shadow page table.",
    58: "INVPCID flushes by address space; as INVLPG, it concerns the shadow page tables. A CPU "
        "without INVPCID has the guest use INVLPG and CR3 and CR4 instead.",
    32: "WRMSR: mostly the guest's timer being set. A guest that runs longer, because it exits "
        "more, has more timer ticks.",
    52: "The VMX-preemption timer is the guest's timer: a longer run has more ticks. A CPU without "
        "it (Penryn) takes the host's timer interrupt instead (reason 1).",
    1: "External interrupts of the host, mostly its timer: as many as the run is long.",
    7: "Interrupt windows: an interrupt had to wait until the guest could take it.",
}


def measure(experiment: Experiment, cpu: str, settings: dict[str, str]) -> dict[str, View]:
    """Guests on one machine: by setting, the views by step, and the host's own table."""
    add = experiment.file(f"settings-{cpu}", "".join(f"{k} {v}\n" for k, v in settings.items()))
    rounds = experiment.file("rounds", "10\n" if experiment.short else "40\n")
    experiment.say(f"{', '.join(settings)} on {cpu}")
    run = experiment.lab(
        cpu, "--cpu", cpu, "--l1", common.SCRIPTS / "paging-l1",
        "--l2", common.SCRIPTS / "paging-l2", "--add", f"{add}:lab/settings",
        "--add-guest", f"{rounds}:lab/rounds", "--add-guest", f"{guest.vmxscope()}:lab/vmxscope")
    found = {}
    for name in settings:
        said = views.parts(run.file(f"{name}.guest"))
        read = {step: views.view(said[step]) for step in STEPS}
        for step, one in read.items():
            experiment.file(f"views/{name}-{step}.json", said[step].partition("\nexit")[0])
            if not one["consistent"]:
                raise LabError(f"the view {step} of {name} mixes figures of different times",
                               "The guest could not read without a change in between: try again.")
        host = views.table(run.file(f"{name}.host")).exits()
        found[name] = {"ept": run.file(f"{name}.ept").strip(), "views": read, "host": host}
    return found


def deltas(read: dict[str, View]) -> dict[str, Counts]:
    """What each step added, by reason, without the CPUID exits by which it was read."""
    found = {"boot": views.counts(read["boot"])}
    found["boot"][CPUID] -= read["boot"]["own_exits"]
    for before, step in pairwise(STEPS):
        more = views.added(views.counts(read[before]), views.counts(read[step]))
        more[CPUID] = (more.get(CPUID, 0) - read[before]["read_exits"]
                       - read[step]["own_exits"])
        found[step] = {reason: count for reason, count in more.items() if count}
    return found


def merge(steps: dict[str, Counts]) -> Counts:
    """The sum over the steps of the workload, without the boot."""
    total: Counts = {}
    for step in STEPS[1:]:
        for reason, count in steps[step].items():
            total[reason] = total.get(reason, 0) + count
    return total


def change(before: int, after: int) -> str:
    """How a count changed, in a word."""
    if not before or not after:
        return "new" if after else "gone" if before else "-"
    return f"{after / before:.2f} times"


def table(shown: html.Page, label: dict[int, str], columns: dict[str, Counts]) -> None:
    """All reasons side by side."""
    first, *others = columns
    reasons = sorted({reason for counts in columns.values() for reason in counts})
    head = ["no.", "reason", TITLES[first]]
    for name in others:
        head += [TITLES[name], "change"]

    def line(figures: dict[str, int]) -> list[object]:
        cells: list[object] = [grouped(figures[first])]
        for name in others:
            cells += [grouped(figures[name]), change(figures[first], figures[name])]
        return cells

    rows = [[reason, label[reason], *line({k: c.get(reason, 0) for k, c in columns.items()})]
            for reason in reasons]
    rows.append(["", "All exits", *line({k: sum(c.values()) for k, c in columns.items()})])
    shown.table(head, rows, words=2, total=True)


def words(label: dict[int, str], ept: Counts, shadow: Counts) -> list[dict[str, Any]]:
    """What changed and why, the largest change first."""
    reasons = sorted(set(ept) | set(shadow),
                     key=lambda r: -abs(ept.get(r, 0) - shadow.get(r, 0)))
    found = []
    for reason in reasons:
        before, after = ept.get(reason, 0), shadow.get(reason, 0)
        if reason in WHY and before != after:
            found.append({"reason": reason, "name": label[reason], "ept": before,
                          "shadow": after, "why": WHY[reason]})
    return found


def chart(label: dict[int, str], columns: dict[str, Counts], limit: int = 12) -> str:
    """The reasons that have the most exits anywhere, as bars."""
    reasons = {reason for counts in columns.values() for reason in counts}
    top = sorted(reasons, key=lambda r: -max(c.get(r, 0) for c in columns.values()))[:limit]
    rows = [(f"{label[reason]} ({reason})", [c.get(reason, 0) for c in columns.values()])
            for reason in top]
    return svg.bars("VM exits of a nested guest's boot by reason, with nested paging and with "
                    "shadow paging", [TITLES[name] for name in columns], rows)


def run(experiment: Experiment) -> None:
    """Make the experiment, and its report."""
    found = measure(experiment, "haswell", {"ept": "ept=1", "shadow": "ept=0"})
    if not experiment.short:
        found |= measure(experiment, "penryn", {"penryn": ""})
    label = views.names(*(one for item in found.values() for one in item["views"].values()))
    steps = {name: deltas(item["views"]) for name, item in found.items()}
    boots = {name: item["boot"] for name, item in steps.items()}
    works = {name: merge(item) for name, item in steps.items()}
    why = words(label, boots["ept"], boots["shadow"])
    experiment.notes.append("The CPUID exits by which the guest read its own figures are left out.")
    shown = html.Page("Nested paging against shadow paging", experiment.about())
    picture = chart(label, boots)
    experiment.file("paging.svg", picture)
    shown.figure(picture, "Exits of the guest's boot by reason; the scale is logarithmic.")
    shown.heading("What changed, and why")
    shown.points([f"{row['name']} ({row['reason']}): {grouped(row['ept'])} with EPT, "
                f"{grouped(row['shadow'])} without. {row['why']}" for row in why])
    shown.heading("The boot")
    shown.text(f"All exits {WHAT['boot']}.")
    table(shown, label, boots)
    shown.heading("The workload")
    shown.text("What fork, file, timer and network added, together.")
    table(shown, label, works)
    for step in STEPS[1:]:
        shown.heading(f"The workload's part {step!r}")
        shown.text(f"{WHAT[step].capitalize()}.")
        table(shown, label, {name: item[step] for name, item in steps.items()})
    shown.write(experiment.out / "report.html")
    saved = [experiment.out / f"views/{name}-network.json" for name in found]
    guest.run_vmxscope("report", *saved, "-o", experiment.out / "times.html")
    experiment.write_json({
        "names": label, "steps": list(STEPS),
        "ept_parameter": {name: item["ept"] for name, item in found.items()},
        "counts": steps, "workload": works, "changes": why,
        "host": {name: item["host"] for name, item in found.items()},
        "views": {name: item["views"] for name, item in found.items()},
    })
