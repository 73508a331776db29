# SPDX-License-Identifier: GPL-2.0
"""docs/kernels.md: the supported kernels, and on what machines they are tested."""

from __future__ import annotations

import json
import re
import subprocess

from vmxlab import REPO, cache
from vmxlab.errors import LabError

# The tests that are run on each machine, and what of a machine their names hold.
MODULE = re.compile(r"test_the_log_equals_msr_by_msr_what_another_reader_gets\[(\S+?)-(\w+)-(\d)\]")
SERIES = re.compile(r"test_each_view_counts_the_same_exits_by_reason"
                    r"\[([\w.]+)-(\w+)-(\d)-(\S*)\]")
HEAD = """\
# Supported kernels

Made by `scripts/kernels-md` from the kernels that the tests built, and the machines on which they
ran them. The first is the default; the other is found in Debian's backports, where it can be had.

```sh
scripts/kernels-md   # prints this file
```

"""


def collected(*options: str) -> str:
    """The names of the lab's tests."""
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider",
               *options, "tests/lab/test_exits.py", "tests/lab/test_caps.py"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"pytest cannot collect the tests: {done.stdout[-500:]}{done.stderr[-500:]}",
                       "`make setup` installs pytest.")
    return done.stdout


def machines(names: str, pattern: re.Pattern[str], series: str) -> list[str]:
    """The machines in tests' names, in words."""
    found = []
    for kernel, model, cpus, *rest in pattern.findall(names):
        words = model + (f", {cpus} CPUs" if cpus != "1" else "")
        words += f", {rest[0]}" if rest and rest[0] else ""
        if kernel == series and words not in found:
            found.append(words)
    return found


def kernels() -> list[dict[str, str]]:
    """The kernels for which there is a series, as they were fetched and built."""
    stamps = {path.read_text(encoding="utf-8").strip()
              for path in cache.root().glob("kernels/*/.complete")}
    found = []
    for folder in sorted(REPO.glob("patches/*/"), key=lambda p: [*map(int, p.name.split("."))]):
        fetched = [json.loads(path.read_text(encoding="utf-8"))
                   for path in sorted(cache.root().glob(f"sources/*-{folder.name}_*.json"))]
        if not fetched:
            raise LabError(f"Linux {folder.name} has not been fetched",
                           f"`scripts/build-kernels {folder.name}` fetches and builds it.")
        source = fetched[-1]
        for what in (f"Linux {source['version']}", f"Linux {source['version']} with our patches"):
            if what not in stamps:
                raise LabError(f"{what} has not been built",
                               f"`scripts/build-kernels {folder.name}` builds it.")
        found.append({"series": folder.name, "version": source["version"],
                      "package": source["debian_version"], "suite": source["suite"],
                      "patches": str(len(list(folder.glob("*.patch"))))})
    return found


def text() -> str:
    """The whole file."""
    ci, everything = collected(), collected("--all-of-the-matrix")
    lines = [HEAD + "| series | tested as | Debian's package | our patches |", "|---|---|---|---|"]
    built = kernels()
    for one in built:
        lines.append(f"| {one['series']} | Linux {one['version']} | {one['package']} of "
                     f"{one['suite']} | {one['patches']} |")
    lines += ["", "| series | capability module | exit accounting, in `make test` | "
              "and in `make test-all` |", "|---|---|---|---|"]
    for place, one in enumerate(built):
        name = one["series"] if place == 0 else "second"
        always = machines(ci, SERIES, name)
        more = [m for m in machines(everything, SERIES, name) if m not in always]
        cells = ("; ".join(c) or "-" for c in (machines(everything, MODULE, name), always, more))
        lines.append(f"| {one['series']} | " + " | ".join(cells) + " |")
    lines += ["", "Each is a machine of Bochs; `ept=0` has the nested guest run by shadow paging. "
              "Other kernels are",
              "refused by `make patch`, which says what does not fit; [design.md](design.md) has "
              "how to add one."]
    return "\n".join(lines) + "\n"
