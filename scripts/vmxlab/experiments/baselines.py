# SPDX-License-Identifier: GPL-2.0
"""What is normal: the exits of Debian's own kernel as a guest, as it boots, idles and uses a disk.

The program has these recordings built in (guest-tools/baselines/), and marks what is
far off them: `vmxscope exits --baseline idle`.
"""

from __future__ import annotations

import json
import time

from vmxlab import guest, image, kernel, kvm, views
from vmxlab.report import html

from . import common
from .common import Experiment, emulator, grouped

# What each is compared by. A boot takes about as many exits on any machine; how many
# requests a disk serves a second is the machine's affair, but not what they consist of.
COMPARE = {"idle": "rate", "boot": "count", "disk": "share"}
WHAT = {
    "idle": "nothing but init runs, per vCPU and second",
    "boot": "from the start of the VM until its init runs, in all",
    "disk": "a virtio disk is written and read as fast as it goes, by share of the exits",
}
# What a row of a baseline needs; a guest's histograms and names are not compared.
FIGURES = ("exits", "cycles", "blocked", "userspace", "scheduled_out", "entry", "guest")


def bare(one: views.View) -> views.View:
    """A view with nothing but what is compared."""
    def row(full: views.View) -> views.View:
        names = {name: full[name] for name in ("reason", "symbol", "name")}
        return names | {figure: full[figure] for figure in FIGURES}

    rows = [row(full) for full in one["reasons"] if full["exits"]]
    return one | {"vm": "baseline", "total": row(one["total"]), "reasons": rows}


def run(experiment: Experiment) -> None:
    """Record the three."""
    base = f"debian-{experiment.kernel}"
    [driver] = kvm.own_modules(kernel.base(base), "virtio_blk")
    image.install_module(experiment.out, driver, "virtio_blk.ko")
    seconds = experiment.file("seconds", "3\n" if experiment.short else "60\n")
    lab = experiment.lab(
        "guest", "--base", base, "--kvm-modules", "patched",
        "--l1", common.SCRIPTS / "baselines-l1", "--l2", common.SCRIPTS / "baselines-l2",
        "--add-guest", f"{experiment.out}/virtio_blk.ko:lab/virtio_blk.ko",
        "--add-guest", f"{guest.vmxscope()}:lab/vmxscope",
        "--add-guest", f"{seconds}:lab/seconds")
    said = views.parts(lab.file("guest"))
    version = said["version"].strip()
    shown = html.Page("What is normal for a guest", experiment.about())
    counts = {}
    for name, compare in COMPARE.items():
        lines = [json.loads(line) for line in said[name].splitlines() if line.startswith("{")]
        made = [bare(line.get("view", line)) for line in lines
                if "view" in line or "reasons" in line]
        about = (f"Linux {version}, a guest with one vCPU of the lab's KVM ({emulator()}), "
                 f"{time.strftime('%Y-%m-%d', time.gmtime(experiment.started))}, by "
                 f"make experiment-baselines: {WHAT[name]}")
        header = {"format": "vmxscope-recording-1", "command": [], "interval_ms": 0,
                  "about": about, "compare": compare}
        written = [{"header": header}, *({"view": one} for one in (made[0], made[-1])[:len(made)])]
        experiment.file(f"{name}.rec", "".join(json.dumps(line) + "\n" for line in written))
        added = views.counts(made[-1])
        if len(made) > 1:
            added = views.added(views.counts(made[0]), added)
        counts[name] = added
        named = views.names(made[-1])
        shown.heading(name)
        shown.text(about)
        total = sum(added.values())
        shown.table(["reason", "exits", "of all"], [
            [named[reason], grouped(count), f"{count / total:.1%}"]
            for reason, count in sorted(added.items(), key=lambda pair: -pair[1])])
    shown.write(experiment.out / "report.html")
    experiment.write_json({"counts": counts, "compare": COMPARE, "guest": version})
