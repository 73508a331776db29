# SPDX-License-Identifier: GPL-2.0
"""What else counts a VM's exits, to compare views with, and what holds within a view."""

import re

from vmxlab.views import EMULATED, FAILED, TOTAL, Table

# What a vCPU's life is made of.
TIMES = ("cycles", "blocked", "user", "away", "entry", "guest")


def histogram(text: str) -> dict[int, int]:
    """Events by reason of a histogram trigger on kvm_exit; none may be dropped."""
    totals = dict(re.findall(r"^ *(Hits|Entries|Dropped): (\d+)$", text, re.M))
    assert totals["Dropped"] == "0", text
    found: dict[int, int] = {}
    for full, count in re.findall(r"\{ exit_reason: *(\d+) \} hitcount: *(\d+)", text):
        # The upper bits are flags; the basic reason is the lower half.
        reason = int(full) & 0xFFFF
        found[reason] = found.get(reason, 0) + int(count)
    assert sum(found.values()) == int(totals["Hits"]), text
    return found


def check_consistent(view: Table, exits_stat: int | None = None) -> None:
    """The invariants that hold within one table, and with stat.exits."""
    for field in ("exits", "cycles", "blocked", "user", "l2", "dropped", "away", "entry", "guest"):
        total = sum(row[field] for reason, row in view.rows.items()
                    if reason not in (TOTAL, FAILED, EMULATED))
        assert total == view[TOTAL][field], field
    for reason, row in view.rows.items():
        if reason in (FAILED, EMULATED):
            continue
        timed = row["exits"] - row["dropped"]
        if not view.buckets[TOTAL]:
            # Histograms are off: the least and the most go with them.
            assert row["min"] == row["max"] == 0, (reason, row)
            continue
        assert sum(view.buckets[reason].values()) == timed, (reason, row)
        if timed:
            assert row["min"] <= row["cycles"] // timed <= row["max"], (reason, row)
    if exits_stat is not None:
        assert view[TOTAL]["exits"] + view[FAILED]["exits"] + view[EMULATED]["exits"] == exits_stat


def lives(vcpus: str) -> list[dict[str, str]]:
    """What exit_stats_vcpus says of each vCPU of a VM."""
    head, *rows = (line.split("\t") for line in vcpus.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def check_life(view: Table, vcpus: str) -> None:
    """All times of a stopped VM's vCPU are the time from its first entry to its last
    event, by its own clock; and the VM's are those of its vCPUs."""
    assert view[TOTAL]["dropped"] == 0
    for vcpu in lives(vcpus):
        life = int(vcpu["mark"]) - int(vcpu["first"])
        assert sum(int(vcpu[field]) for field in TIMES) == life, vcpu
    for field in ("exits", *TIMES):
        assert view[TOTAL][field] == sum(int(vcpu[field]) for vcpu in lives(vcpus)), field


def qemu_histogram(text: str, name: str) -> list[int]:
    """A linear histogram of QEMU's `info stats`, by bucket.

    QEMU (seen: 7.2) builds its list of buckets back to front, and numbers it
    from 1 in that order.
    """
    line = re.search(rf"^ *{name} \(linear-histogram.*?bucket size=1\): (.*)$", text, re.M)
    assert line, text
    figures = [int(figure) for figure in re.findall(r"\[\d+\]=(\d+)", line[1])]
    return figures[::-1]


def traced_until_snapshot(text: str) -> dict[int, int]:
    """kvm_exit events by reason before the exit by which the guest took its last snapshot.

    That exit itself is counted when it has been handled, so it is not in the
    answer that handles it.
    """
    found: dict[int, int] = {}
    then: dict[int, int] = {}
    for line in text.splitlines():
        if match := re.search(r"kvm_exit: exit_reason=(0x[0-9a-f]+)", line):
            reason = int(match[1], 16) & 0xFFFF
            found[reason] = found.get(reason, 0) + 1
        elif re.search(r"kvm_cpuid: function=0x4ffffffa \(\d+\) index=0x7fff", line):
            then = found | {10: found[10] - 1}
    assert then, "the guest took no snapshot"
    return then


def without_its(log: str) -> str:
    """A kernel's log without what 6.12 says of its own pages on a CPU that needs ITS thunks.

    It warns of them once, whichever module is loaded first.
    """
    return re.sub(r"CPA detected W\^X violation.*?end trace", "", log, flags=re.S)


def shown_rows(text: str) -> dict[int, tuple[str, int]]:
    """The name and the exits of each reason of a table that `vmxscope exits` printed."""
    rows = re.findall(r"^ *(\d+)  (\S.*?)  +([\d,]+) +<?[\d.]+% ", text, re.M)
    return {int(reason): (name, int(count.replace(",", ""))) for reason, name, count in rows}


def check_shown(document: str, output: str) -> None:
    """What a document shows is what is printed today, row by row: the same reasons, and
    counts of the same order, for they differ a little from run to run."""
    shown, printed = shown_rows(document), shown_rows(output)
    assert len(shown) > 5
    for reason, (name, count) in shown.items():
        if count < 10 and reason not in printed:
            continue  # What is so rare may not occur.
        assert printed.get(reason, ("", 0))[0] == name, (reason, name, printed)
        if count >= 100:
            assert count / 2 < printed[reason][1] < count * 2, (name, count, printed[reason])
