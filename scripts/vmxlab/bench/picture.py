# SPDX-License-Identifier: GPL-2.0
"""The benchmark's picture: what each method adds to an exit."""

from typing import Any

from vmxlab.report import svg

from .lab import KINDS, METHODS

# Short, for they stand in one line above the picture.
NAMES = {"off": "off", "on": "on", "histograms": "histograms", "causes": "causes",
         "beside": "beside KVM", "course": "course", "tracepoints": "traced", "bpf": "BPF",
         "bpf-keys": "BPF, keys", "hist": "hist",
         "perf": "perf"}


def draw(result: dict[str, Any]) -> str:
    """Bars of the counts that each method adds to the median exit of each kind."""
    found = result["lab"]["methods"]
    names = [name for name in METHODS if name in found and name not in ("stock", "removed")]
    rows = []
    for kind, title in KINDS.items():
        stock = found["stock"]["kinds"][kind]["median"]
        rows.append((title, [max(0, found[name]["kinds"][kind]["median"] - stock)
                             for name in names]))
    return svg.bars("Counts of the emulated TSC that each way of accounting adds to an exit",
                    [NAMES[name] for name in names], rows)
