# SPDX-License-Identifier: GPL-2.0
"""What advice is worth: the same guest with a bad setting, and after the advice.

`vmxscope causes --host` counts the exits of each nested guest by ftrace, on a KVM as it is.
With the bad setting it has to give the advice that is followed then.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from vmxlab import guest
from vmxlab.errors import LabError
from vmxlab.report import html, svg

from . import common
from .common import Experiment, grouped

# What `vmxscope causes --json` prints.
Causes = dict[str, Any]


@dataclass(frozen=True)
class Guest:
    """A nested guest: its work (see lab/causes-l2), and how it is set."""

    name: str
    work: str
    options: str = ""     # Of the lab's program `guest`.
    params: str = ""      # Of kvm_intel.

    def line(self) -> str:
        """The guest as lab/causes-l1 reads it."""
        return "|".join((self.name, self.params, self.work, self.options)) + "\n"


@dataclass(frozen=True)
class Pair:
    """A rule of guest-tools/causes/advice.toml, and a guest before and after its advice."""

    rule: str
    what: str
    before: Guest
    after: Guest


# Whatever a pair does not name is the same in both.
PAIRS = (
    Pair("serial-console", "A guest that logs, on a serial port and on a virtio console",
         Guest("serial", "log", "--append console=ttyS0"), Guest("virtio", "log")),
    Pair("cpuid", "A program that reads the TSC, ordered by CPUID and by LFENCE",
         Guest("cpuid", "cpuid"), Guest("lfence", "lfence")),
    Pair("tsc-deadline", "A program that waits, in steps of 50 microseconds and in one",
         Guest("polls", "polls"), Guest("waits", "waits")),
    Pair("shadow-paging", "Processes that start and end, on kvm_intel.ept=0 and ept=1",
         Guest("shadow", "processes", params="ept=0"), Guest("ept", "processes", params="ept=1")),
)


def measure(experiment: Experiment, base: str, pairs: tuple[Pair, ...]) -> dict[str, Causes]:
    """Run the guests of these pairs on one machine; the causes of each by its name."""
    guests = {one.name: one for pair in pairs for one in (pair.before, pair.after)}
    lines = experiment.file(f"guests-{base}", "".join(one.line() for one in guests.values()))
    work = guest.build_c(common.SCRIPTS / "work.c", experiment.out)
    experiment.say(f"{', '.join(guests)} on {base}")
    run = experiment.lab(
        base, "--base", base, "--kvm-modules", "stock",
        "--l1", common.SCRIPTS / "causes-l1", "--l2", common.SCRIPTS / "causes-l2",
        "--add", f"{lines}:lab/guests", "--add", f"{guest.vmxscope()}:lab/vmxscope",
        "--add-guest", f"{work}:lab/work")
    found = {}
    for name in guests:
        # What the guest printed goes before it.
        _, start, text = run.file(f"{name}.json").partition("{\n")
        found[name] = json.loads(start + text)
        if found[name]["dropped"]:
            raise LabError(f"a table of ftrace's was full: {found[name]['dropped']}")
    return found


def compared(pair: Pair, before: Causes, after: Causes) -> dict[str, Any]:
    """What the advice was, and what it changed.

    Raises LabError if it was not given before, or is given still.
    """
    advice = {one["rule"]: one for one in before["advice"]}
    still = [one["rule"] for one in after["advice"]]
    if pair.rule not in advice or pair.rule in still:
        raise LabError(f"the rule {pair.rule} applied to {pair.before.name}: "
                       f"{pair.rule in advice}, to {pair.after.name}: {pair.rule in still}",
                       f"{pair.before.name} got {sorted(advice)}, {pair.after.name} {still}.")
    one = advice[pair.rule]
    return {
        "rule": pair.rule, "what": pair.what, "subject": one["subject"], "tells": one["tells"],
        "advice": one["advice"], "rate": one["rate"],
        "of_rule": round(one["rate"] * before["seconds"]),
        "also": sorted(set(advice) - {pair.rule} - set(still)),
        "exits": {"before": before["exits"], "after": after["exits"]},
        "seconds": {"before": before["seconds"], "after": after["seconds"]},
        "guests": {"before": pair.before.name, "after": pair.after.name},
    }


def times(more: int, less: int) -> str:
    """How many times as many."""
    return f"{more / less:.1f}" if less else "infinitely"


def run(experiment: Experiment) -> None:
    """Make the experiment, and its report."""
    pairs = PAIRS[:2] if experiment.short else PAIRS
    causes = measure(experiment, f"small-{experiment.kernel}", pairs)
    results = [compared(pair, causes[pair.before.name], causes[pair.after.name])
               for pair in pairs]
    rows = [(one["rule"], [one["exits"]["before"], one["exits"]["after"]]) for one in results]
    picture = svg.bars("VM exits of a guest before the advice of a rule, and after it",
                       ["before", "after the advice"], rows)
    experiment.file("causes.svg", picture)
    shown = html.Page("What the advice of vmxscope causes is worth", experiment.about())
    shown.text("Each pair is the same guest with the same work, and one setting that differs. Its "
               "exits are counted by vmxscope causes --host, with ftrace, on an unmodified KVM.")
    shown.figure(picture, "All exits of the guest in that time; the scale is logarithmic.")
    shown.table(["rule", "guest", "exits before", "after", "times as many", "of the rule"], [
        [one["rule"], one["what"], grouped(one["exits"]["before"]),
         grouped(one["exits"]["after"]),
         times(one["exits"]["before"], one["exits"]["after"]), grouped(one["of_rule"])]
        for one in results], words=2)
    shown.heading("The advice")
    shown.points([f"{one['rule']}: {one['subject']}, {grouped(round(one['rate']))}/s: "
                  f"{one['tells']}; {one['advice']}."
                  + (f" These rules applied as well: {', '.join(one['also'])}."
                     if one["also"] else "") for one in results])
    for name, one in causes.items():
        shown.heading(f"The guest {name}")
        total = one["exits"]
        shown.text(f"{grouped(total)} exits in {one['seconds']:.2f} s.")
        shown.table(["reason", "exits", "of all"], [
            [row["reason"], grouped(row["exits"]), f"{row['exits'] / total:.1%}"]
            for row in one["names"] if row["table"] == "reasons"])
    shown.write(experiment.out / "report.html")
    experiment.write_json({"results": results, "causes": causes})
