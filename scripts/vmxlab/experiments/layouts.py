# SPDX-License-Identifier: GPL-2.0
"""The readers of each semester of the course, under each layout of the leaves.

What a reader of the layout at hand prints has to lie, reason by reason, between
what the host's table of that VM had before and after. A reader of another
layout gets figures too: the experiment shows which.
"""

from __future__ import annotations

from typing import Any

from vmxlab import REPO, guest, views
from vmxlab.report import html
from vmxlab.views import TOTAL

from . import common
from .common import Experiment, grouped

LAYOUTS = ("spring22", "fall22", "combined")
WHICH = {
    "spring22": "all exits FF, their cycles FE, exits by reason FD, cycles by reason FC",
    "fall22": "all exits FC, their cycles FD, exits by reason FE, cycles by reason FF",
    "combined": "all exits and their cycles FF, exits by reason FE",
}

Figures = dict[int, tuple[int, int | None] | None]


def build(experiment: Experiment) -> list[str]:
    """Compile the readers; the options that put them into the guest."""
    words = []
    for name in LAYOUTS:
        program = guest.build_c(REPO / f"docs/course/{name}.c", experiment.out)
        words += ["--add-guest", f"{program}:lab/{name}"]
    return words


def printed(text: str) -> Figures:
    """What a reader printed: exits and cycles by reason; None for an undefined one."""
    found: Figures = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["exit"]:
            break
        reason = TOTAL if words[0] == "all" else int(words[0])
        if words[1] == "undefined":
            found[reason] = None
        else:
            found[reason] = (int(words[1]), None if words[2] == "-" else int(words[2]))
    return found


def wrong(read: Figures, before: dict[int, dict[str, int]],
          after: dict[int, dict[str, int]]) -> list[int]:
    """The reasons whose figures the host's table does not bear out."""
    bad = []
    for reason, figures in read.items():
        low, high = before.get(reason, {}), after.get(reason, {})
        if figures is None:
            # The host's table has a row for each reason that is defined and occurred.
            if high.get("exits"):
                bad.append(reason)
            continue
        for figure, value in zip(("exits", "cycles"), figures, strict=True):
            if value is not None and not low.get(figure, 0) <= value <= high.get(figure, 0):
                bad.append(reason)
                break
    return bad


def run(experiment: Experiment) -> None:
    """Make the experiment, and its report."""
    options = build(experiment)
    experiment.say("three readers under three layouts")
    lab = experiment.lab("layouts", "--l1", common.SCRIPTS / "layouts-l1",
                         "--l2", common.SCRIPTS / "layouts-l2", *options)
    results, tables, fitting = {}, {}, {}
    for layout in LAYOUTS:
        said = views.parts(lab.file(f"{layout}.guest"))
        tables[layout] = tuple(views.table(lab.file(f"{layout}.{when}")).rows
                               for when in ("before", "after"))
        fitting[layout] = printed(said[layout])
        for reader in LAYOUTS:
            read = printed(said[reader])
            bad = wrong(read, *tables[layout])
            results[f"{layout}/{reader}"] = {
                "layout": layout, "reader": reader, "fits": not bad, "wrong": bad,
                "printed": {("all" if reason == TOTAL else str(reason)): figures
                            for reason, figures in read.items()}}
    shown = html.Page("The course's readers under each layout", experiment.about())
    shown.text("Each reader is a C program of docs/course/, in the nested guest. Its figures fit "
               "if each lies between the host's own (debugfs) before and after it ran.")
    shown.table(["reader", *(f"layout {layout}" for layout in LAYOUTS)], [
        [f"{reader}: {WHICH[reader]}"] + [summary(results[f"{layout}/{reader}"])
                                          for layout in LAYOUTS] for reader in LAYOUTS])
    for layout in LAYOUTS:
        before, after = tables[layout]
        shown.heading(f"Layout {layout}, read by {layout}.c")
        shown.table(["reason", "host before", "reader", "host after", "host before, cycles",
                     "reader, cycles", "host after, cycles"], [
            ["all" if reason == TOTAL else reason,
             grouped(before.get(reason, {}).get("exits", 0)), grouped(figures[0]),
             grouped(after.get(reason, {}).get("exits", 0)),
             grouped(before.get(reason, {}).get("cycles", 0)),
             "-" if figures[1] is None else grouped(figures[1]),
             grouped(after.get(reason, {}).get("cycles", 0))]
            for reason, figures in fitting[layout].items() if figures and figures[0]])
    shown.write(experiment.out / "report.html")
    experiment.write_json({"results": results, "host": {
        layout: {"before": before, "after": after}
        for layout, (before, after) in tables.items()}})


def summary(result: dict[str, Any]) -> str:
    """A cell of the table."""
    if result["fits"]:
        return "all figures fit"
    return f"{len(result['wrong'])} of {len(result['printed'])} figures do not fit"
