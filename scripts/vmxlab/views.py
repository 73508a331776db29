# SPDX-License-Identifier: GPL-2.0
"""What the host and the guest say of a VM's exits, in one shape: figures by reason."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from .errors import LabError

# The pseudo reasons of exit_stats_raw (kvm-instrumentation/exit-stats.rst): they are
# no exits of the table, and only BEYOND is part of the total.
TOTAL, FAILED, EMULATED, BEYOND = 0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC
FIELDS = ("exits", "cycles", "min", "max", "blocked", "user", "l2", "dropped", "away", "entry",
          "guest")

Counts = dict[int, int]
View = dict[str, Any]
Number = TypeVar("Number", int, float)


@dataclass
class Table:
    """debugfs' exit_stats_raw: rows by reason, pseudo reasons included."""

    clocks: dict[str, int]
    rows: dict[int, dict[str, int]]
    buckets: dict[int, Counts]
    symbols: dict[int, str]

    def exits(self) -> Counts:
        """The exits of each reason that has any, without what is no exit."""
        return {reason: row["exits"] for reason, row in self.rows.items()
                if row["exits"] and reason <= BEYOND}

    def __getitem__(self, reason: int) -> dict[str, int]:
        return self.rows[reason]


def table(text: str) -> Table:
    """Parse exit_stats_raw; raises LabError at a line that it does not understand."""
    head, *lines = text.splitlines() or [""]
    if head.split("\t") != ["reason", "symbol", *FIELDS, "buckets"]:
        raise LabError(f"this is no head of exit_stats_raw: {head!r}")
    found = Table({}, {}, {}, {})
    for line in lines:
        try:
            word, *values = line.split("\t")
            if word in ("tsc_khz", "monotonic_ns"):
                [found.clocks[word]] = map(int, values)
                continue
            number, symbol, *figures, buckets = line.split("\t")
            row = dict(zip(FIELDS, map(int, figures), strict=True))
            pairs = [pair.split(":") for pair in buckets.split(",") if buckets != "-"]
            found.buckets[int(number)] = {int(bucket): int(count) for bucket, count in pairs}
        except ValueError as error:
            raise LabError(f"this is no line of exit_stats_raw: {line!r}") from error
        found.rows[int(number)] = row
        found.symbols[int(number)] = symbol
    return found


def parts(text: str) -> dict[str, str]:
    """What a guest sent, by the headings "== NAME"."""
    pieces = re.split(r"^== (\S+)\n", text, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def view(text: str) -> View:
    """The JSON object that `vmxscope exits --json` printed somewhere in a text."""
    found: View = json.loads(text[text.index("{"):text.rindex("}") + 1])
    return found


def names(*views: View) -> dict[int, str]:
    """The SDM's names of the reasons that occur in views."""
    return {row["reason"]: row["name"] for one in views for row in one["reasons"]}


def counts(one: View) -> Counts:
    """The exits of a view by reason, without the zeros."""
    return {row["reason"]: row["exits"] for row in one["reasons"] if row["exits"]}


def added(before: dict[int, Number], after: dict[int, Number]) -> dict[int, Number]:
    """By how much counts grew, without the zeros."""
    return {reason: more for reason in sorted(after)
            if (more := after[reason] - before.get(reason, 0))}
