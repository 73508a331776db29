# SPDX-License-Identifier: GPL-2.0
"""The benchmark's page for people, in Markdown, and what is said of the targets."""

from __future__ import annotations

import statistics
from typing import Any

from . import why
from .cpu import DESIGNS, DISTURBING, VCPUS
from .lab import KINDS, METHODS, Method

# Ratio to the floor, by design, in one and in two threads.
LIMITS = {"ours": 1.08, "histograms": 1.17, "causes": 1.5}
# Microseconds without a point of rescheduling, which there is after each vCPU.
STRETCH = 50
# Times as long as alone that an exit may take while another vCPU reads.
BESIDE = 1.05
# All of bench.json, or a part of it.
Result = dict[str, Any]
READINGS = {"counters": "counters", "histograms": "all", "cold": "all, cold"}


def targets(result: Result) -> list[dict[str, object]]:
    """Each target, what was measured, and whether it is met; none of the short form's."""
    if result["short"]:
        return []
    found = []
    side = result["cpu"]["side_by_side"]
    for name, limit in LIMITS.items():
        for threads in side:
            found.append((f"{name}, {threads} thread{'s' * (threads != '1')}: times the floor",
                          limit, side[threads][name]["ratio"]))
    # Counters alone are no full tables.
    for what, title in list(READINGS.items())[1:]:
        times = result["cpu"]["criterion"][f"read_{what}_least"]
        for many in VCPUS[1:]:
            found.append((f"reading {title} of {many:,} vCPUs: times one's", many,
                          round(times[str(many)] / times["1"], 1)))
    cold = result["cpu"]["criterion"]["read_cold_least"]
    found.append(("reading of 4,096 vCPUs, cold: us a vCPU", STRETCH,
                  round(cold["4096"] / 4096 / 1000, 1)))
    for name, ratio in result["cpu"]["criterion"].get("disturb", {}).items():
        found.append((f"an exit while another vCPU reads {DISTURBING[name]} in a loop: times "
                      "alone", BESIDE, ratio))
    return [{"what": what, "at_most": limit, "measured": measured, "met": measured <= limit}
            for what, limit, measured in found]


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table whose first column is words and the rest numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]) + "\n"


def kinds(methods: dict[str, Method]) -> str:
    """The cost of one exit, by method and kind."""
    rows = []
    for name, one in methods.items():
        cells = []
        for kind in KINDS:
            least, middle = one["kinds"][kind]["min"], one["kinds"][kind]["median"]
            more = middle - methods["stock"]["kinds"][kind]["median"]
            added = "" if name == "stock" else f" (+{more:,})" if more >= 0 else f" ({more:,})"
            cells.append(f"{least:,} / {middle:,}{added}")
        rows.append([METHODS[name], *cells])
    return table(["method", *KINDS.values()], rows)


def alone(methods: dict[str, Method], kind: str) -> str:
    """The cost of one kind of exit by method, and how many times ours the tracepoints cost."""
    found = {name: one["kinds"][kind] for name, one in methods.items()}
    stock = found["stock"]["median"]
    rows = [[METHODS[name], f"{one['min']:,}", f"{one['median']:,}", f"{one['median'] - stock:+,}",
             f"{100 * (one['median'] / stock - 1):+.2f} %"] for name, one in found.items()]
    text = table(["method", "least", "median", "against stock", "in percent"], rows) + "\n"
    traced = found["tracepoints"]["median"] - stock
    for name in ("on", "histograms"):
        ours = found[name]["median"] - stock
        times = f"{traced / ours:.1f} times" if ours > 0 else "out of proportion to"
        text += (f"The tracepoints cost {times} what {METHODS[name]} costs: {traced:,} counts "
                 f"to {ours:,}.\n")
    return text


def missed(one: dict[str, int | None]) -> str:
    """What a method counted of what was taken."""
    taken, counted = one["taken"], one["counted"]
    if taken is None or counted is None:
        return "-"
    lost = taken - counted
    share = f" ({100 * lost / taken:.1f} %)" if lost > 1 else ""
    return f"{counted:,} of {taken:,}: {f'{lost:,} missed{share}' if lost else 'all'}"


def boots(methods: dict[str, Method]) -> str:
    """The whole of a guest's boot by method, and what each method missed."""
    def middle(one: Method) -> float:
        return float(statistics.median(boot["tsc"] for boot in one["boots"]))

    rows = []
    for name, one in methods.items():
        whole = ["-", "-", "-", "-"]
        if one["boots"]:
            counts = sorted(boot["tsc"] for boot in one["boots"])
            last = one["boots"][-1]
            more = 100 * (middle(one) / middle(methods["stock"]) - 1)
            whole = [f"{middle(one) / 1e6:,.1f}", f"{counts[0] / 1e6:,.1f} to "
                     f"{counts[-1] / 1e6:,.1f}", f"{more:+.1f} %", missed(last)]
        rows.append([METHODS[name], *whole, missed(one["exits"])])
    return table(["method", "median, million counts", "range", "against stock",
                  "counted of a boot's exits", "of the kinds' exits"], rows)


def designs(part: Result) -> str:
    """The designs on the real CPU."""
    side, counted = part["side_by_side"], part["instructions"]
    known = counted if isinstance(counted, dict) else {}
    rows = []
    for name, what in DESIGNS.items():
        row = [f"`{name}`: {what}"]
        for threads in ("1", "2"):
            one = side.get(threads, {}).get(name)
            row += [f"{one['ns']:.1f}", f"{one['ratio']:.3f}"] if one else ["-", "-"]
        exactly = part["criterion"].get("record", {}).get(name)
        rows.append([*row, f"{exactly:.1f}" if exactly else "-",
                     f"{known[name]:.0f}" if name in known else "-"])
    text = table(["design", "ns, 1 thread", "times the floor", "ns, 2 threads", "times the floor",
                  "ns by criterion", "instructions"], rows)
    return text if known else f"{text}\nInstructions: not counted, {counted}.\n"


def reading(part: dict[str, dict[str, float]]) -> str:
    """Reading by number of vCPUs: the least, and criterion's median."""
    rows = []
    for count in map(str, VCPUS):
        cells = [f"{part[f'read_{name}_least'][count] / 1000:,.1f} / "
                 f"{part[f'read_{name}'][count] / 1000:,.1f}" for name in READINGS]
        rows.append([f"{int(count):,}", *cells,
                     f"{part['read_cold_least'][count] / int(count) / 1000:,.2f}"])
    return table(["vCPUs", *READINGS.values(), "a vCPU, cold"], rows)


def markdown(result: Result) -> str:
    """The whole page."""
    made, lab = result["machine"], result["lab"]
    parts = [
        "<!-- SPDX-License-Identifier: GPL-2.0 -->\n"
        f"<!-- Written by {result['command']}: do not edit. -->\n"
        "# What accounting costs\n",
        f"All figures here were printed by\n\n```sh\n{result['command']}\n```\n\n"
        f"on {result['date']}, on {made['cpu']}; in the lab on {made['lab']}, Linux "
        f"{made['kernel']}, in {result['seconds']['all'] / 60:.1f} minutes, of which its "
        f"programs were running for {result['seconds']['cpu'] / 60:.1f}. "
        "The same as JSON: bench.json.\n",
        "## One exit, in the lab\n",
        "Counts of the emulated TSC, which are about instructions: caches, contended locks and "
        "the cost of the exit itself are not in them. Least / median of "
        f"{lab['rounds']} exits of each kind by a VMM of our own, "
        "each timed in the guest by itself; in brackets what the median has more than stock's.\n",
        kinds(lab["methods"]),
        "".join(f"{METHODS[name]}: not run, {reason}.\n" for name, reason in
                lab["not_run"].items()),
        "![What each method adds to an exit](bench.svg)\n",
        "## A guest's boot, and what each method missed\n",
        f"From the VM's creation until its init runs, {lab['boots']} boots by each method. Exits "
        "taken are those of KVM's own `exits` statistic. The range says how far a difference "
        "between two methods means anything.\n",
        boots(lab["methods"]), why.missed(lab["methods"]),
    ]
    if read := result["reading"]:
        parts += [
            "## Reading in the guest\n",
            f"`vmxscope exits --json` of everything, consistently: {read['cpuid_exits']} CPUID "
            f"exits and {read['counts']:,} counts of the guest's TSC, of which "
            f"{read['counts_of_a_start']:,} are those of a run that reads nothing "
            f"(`vmxscope --version`). Medians of {read['readings']}.\n"]
    parts += ["## Recording an exit, on this machine's CPU\n",
              "The designs run in turn, 10,000 exits each, 301 times, so that other load strikes "
              "them alike; the ratio is the median of the ratios to the floor in the same round. "
              "With two threads it is the slower one's. Criterion measures one design after the "
              "other: on a machine that does other work too, its figures are the less certain. "
              "Instructions are callgrind's, and repeatable.\n",
              designs(result["cpu"])]
    if goals := targets(result):
        parts += [
            "### Targets\n",
            table(["target", "at most", "measured", "met"],
                  [[str(one["what"]), f"{one['at_most']:g}", f"{one['measured']:g}",
                    "yes" if one["met"] else "**no**"] for one in goals]),
            why.designs(result["cpu"]),
            "## Reading many vCPUs, on this machine's CPU\n",
            "Microseconds of a sum over full tables, in which every reason has occurred, and "
            "filled three buckets of its histogram. Least / criterion's median; what else the "
            "machine does is in the median. Cold: no table is in a cache when the reading "
            "begins. The times are the thread's own.\n",
            reading(result["cpu"]["criterion"]), why.reading(result["cpu"]["criterion"])]
    return "\n".join(part for part in parts if part)
