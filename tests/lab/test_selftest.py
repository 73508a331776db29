# SPDX-License-Identifier: GPL-2.0
"""The kernel's own test of KVM's binary statistics passes on our kernel, and the series' own."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import Lab, Run
from vmxlab import cache, kernel, series
from vmxlab.series import tree

STATS, OURS = "kvm_binary_stats_test", "exit_stats_test"
# What `make headers` and the test's own Makefile read of the kernel's tree.
PARTS = (
    "Makefile scripts include/uapi usr/include arch/x86/Makefile arch/x86/Makefile_32.cpu "
    "arch/x86/include/uapi arch/x86/include/asm/Kbuild arch/x86/entry/syscalls arch/x86/tools "
    "tools/arch tools/build tools/include tools/lib tools/scripts "
    "tools/testing/selftests/kvm tools/testing/selftests/rseq tools/testing/selftests/vfio "
    "tools/testing/selftests/cgroup tools/testing/selftests/clone3"
)
COPY = """\
cd "$1"
tar c --ignore-failed-read --exclude='*.o' --exclude='*.a' --exclude='.*.cmd' {parts} \\
	tools/testing/selftests/*.h tools/testing/selftests/*.mk 2>/dev/null | tar x -C "$2"
"""
BUILD = """\
set -e
cd "$1"
make -s headers
# 7.3 links a library for VFIO too, which needs more of the tree and neither test uses.
make -s -j{jobs} -C tools/testing/selftests/kvm LIBVFIO_O= LIBVFIO_O_DIRS= CC="gcc -static" \\
	OUTPUT="$1/out" "$1/out/{stats}" "$1/out/x86/{ours}"
"""

KERNELS = [pytest.param("6.12"), pytest.param("7.3", marks=pytest.mark.matrix)]
pytestmark = pytest.mark.parametrize("number", KERNELS)


def selftests(linux: kernel.Base) -> Path:
    """The folder with both tests, built from a copy of what they need of that kernel's tree,
    to which our series was applied."""
    touched = {name for path in series.patches(linux.series)
               for name in series.touched(path.read_text(encoding="utf-8"))}
    copying = COPY.format(parts=f"{PARTS} {' '.join(sorted(touched))}")
    building = BUILD.format(stats=STATS, ours=OURS, jobs=kernel.jobs())

    def shell(script: str, *words: object) -> None:
        done = subprocess.run(["bash", "-c", script, "selftests", *map(str, words)],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as copy:
            shell(copying, linux.headers, copy)
            tree.apply(Path(copy))
            shell(building, copy)
            (Path(copy) / "out" / STATS).rename(folder / STATS)
            (Path(copy) / "out/x86" / OURS).rename(folder / OURS)

    key = cache.digest(linux.key, series.inputs(linux.series), copying, building)
    return cache.entry("selftests", key, build, what=f"KVM's selftests of Linux {linux.version}")


def run_both(lab: Lab, number: str) -> Run:
    """Both tests in one machine."""
    folder = selftests(kernel.base(f"small-{number}"))
    added = [word for name in (STATS, OURS) for word in ("--add", f"{folder / name}:lab/{name}")]
    run = lab.run("--kernel", number, *added, "--timeout", 300, l1=f"""\
load-kvm || exit
for name in {STATS} {OURS}; do
	/lab/$name >/out/$name 2>&1
	echo $? >/out/$name.status
done
""")
    assert run.status == 0, run.l1 + run.stderr
    return run


def test_the_kernels_own_test_of_the_binary_statistics_passes(lab: Lab, number: str) -> None:
    run = run_both(lab, number)
    said = run.file(STATS)
    assert run.file(f"{STATS}.status") == "0\n", said
    # Four VMs of four vCPUs each.
    assert re.search(r"^1\.\.4$", said, re.M), said
    assert re.search(r"^# Totals: pass:4 fail:0 xfail:0 xpass:0 skip:0 error:0$", said, re.M), said


def test_the_series_own_test_passes(lab: Lab, number: str) -> None:
    run = run_both(lab, number)
    # A test that is skipped, because there is no such capability, ends with 4.
    assert run.file(f"{OURS}.status") == "0\n", run.file(OURS)
