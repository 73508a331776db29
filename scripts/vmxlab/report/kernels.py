# SPDX-License-Identifier: GPL-2.0
"""docs/kernels.md: the supported kernels, and on what machines they are tested."""

from __future__ import annotations

import re
import subprocess

from vmxlab import REPO, source
from vmxlab.errors import LabError

# The tests that are run on each machine, and what of a machine their names hold.
MODULE = re.compile(r"test_the_log_equals_msr_by_msr_what_another_reader_gets\[(\S+?)-(\w+)-(\d)\]")
SERIES = re.compile(r"test_each_view_counts_the_same_exits_by_reason"
                    r"\[([\w.-]+)-(\w+)-(\d)-(\S*)\]")
HEAD = """\
# Supported kernels

Made by `scripts/kernels-md` from Debian's kernels and the machines on which the tests run them. The
first is the default. Images are Debian's own, unmodified; for the speed of a run most tests boot a
small kernel, which the lab builds of the same source.

```sh
scripts/kernels-md   # prints this file
```

"""


def collected(*options: str) -> str:
    """The names of the lab's tests."""
    command = ["python3", "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider",
               *options, "tests/lab/test_exits.py", "tests/lab/test_caps.py"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"pytest cannot collect the tests: {done.stdout[-500:]}{done.stderr[-500:]}",
                       "`make setup` installs pytest.")
    return done.stdout


def machines(names: str, pattern: re.Pattern[str], base: str) -> list[str]:
    """The machines in tests' names, in words."""
    found = []
    for kernel, model, cpus, *rest in pattern.findall(names):
        words = model + (", Debian's image" if kernel.startswith("debian") else "")
        words += f", {cpus} CPUs" if cpus != "1" else ""
        words += f", {rest[0]}" if rest and rest[0] else ""
        if kernel == base and words not in found:
            found.append(words)
    return found


def kernels() -> list[dict[str, str]]:
    """The kernels that Debian has of the series that there are patches for, and of 6.1."""
    found = []
    for number in source.SERIES:
        debian = source.debian_kernel(number)
        patches = len(list(REPO.glob(f"patches/{number}/*.patch")))
        found.append({"series": number, "version": debian.version,
                      "package": debian.package_version, "release": debian.release,
                      "patches": str(patches or "none: for vmx_caps alone")})
    return found


def text() -> str:
    """The whole file."""
    ci, everything = collected(), collected("--all-of-the-matrix")
    lines = [HEAD + "| series | Debian's image | of its package | our patches |",
             "|---|---|---|---|"]
    built = kernels()
    for one in built:
        lines.append("| " + " | ".join(one[name] for name in (
            "series", "release", "package", "patches")) + " |")
    lines += ["", "| series | capability module | exit accounting, in `make test` | "
              "and in `make test-all` |", "|---|---|---|---|"]
    for one in built:
        cells = []
        for names, pattern in ((everything, MODULE), (ci, SERIES), (everything, SERIES)):
            found = [words for base in ("small", "debian")
                     for words in machines(names, pattern, f"{base}-{one['series']}")]
            cells.append(found)
        cells[2] = [words for words in cells[2] if words not in cells[1]]
        shown = ("; ".join(words) or "-" for words in cells)
        lines.append(f"| {one['series']} | " + " | ".join(shown) + " |")
    lines += ["", "Each is a machine of Bochs; `ept=0` has the nested guest run by shadow paging. "
              "Other kernels are",
              "refused by `make patch`, which says what does not fit; [design.md](design.md) has "
              "how to add one."]
    return "\n".join(lines) + "\n"
