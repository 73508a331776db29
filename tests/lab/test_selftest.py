# SPDX-License-Identifier: GPL-2.0
"""The kernel's own test of KVM's binary statistics passes on our kernel."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from conftest import Lab
from vmxlab import cache, kernel

NAME = "kvm_binary_stats_test"
# What `make headers` and the test's own Makefile read of the kernel's tree.
PARTS = (
    "Makefile scripts include/uapi usr/include arch/x86/Makefile arch/x86/Makefile_32.cpu "
    "arch/x86/include/uapi arch/x86/include/asm/Kbuild arch/x86/entry/syscalls arch/x86/tools "
    "tools/arch tools/build tools/include tools/lib tools/scripts "
    "tools/testing/selftests/kvm tools/testing/selftests/rseq tools/testing/selftests/vfio "
    "tools/testing/selftests/cgroup tools/testing/selftests/clone3 drivers/dma/ioat "
    "drivers/dma/idxd drivers/net/ethernet/intel/igb include/linux/idxd.h include/linux/pci_ids.h"
)
BUILD = """\
set -e
tree=$1 copy=$2
cd "$tree"
tar c --ignore-failed-read --exclude='*.o' --exclude='*.a' --exclude='.*.cmd' {parts} \\
	tools/testing/selftests/*.h tools/testing/selftests/*.mk 2>/dev/null | tar x -C "$copy"
cd "$copy"
make -s headers
make -s -j{jobs} -C tools/testing/selftests/kvm CC="gcc -static" OUTPUT="$copy/out" \\
	"$copy/out/{name}"
"""

KERNELS = [pytest.param("6.12"), pytest.param("7.3", marks=pytest.mark.matrix)]


def selftest(linux: kernel.Base) -> Path:
    """The test, built from a copy of what it needs of that kernel's tree."""
    script = BUILD.format(parts=PARTS, name=NAME, jobs=kernel.jobs())

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as copy:
            done = subprocess.run(["bash", "-c", script, "build", linux.headers, copy],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (Path(copy) / "out" / NAME).rename(folder / NAME)

    return cache.entry("selftests", cache.digest(linux.key, script), build,
                       what=f"{NAME} of Linux {linux.version}") / NAME


@pytest.mark.parametrize("series", KERNELS)
def test_the_kernels_own_test_of_the_binary_statistics_passes(lab: Lab, series: str) -> None:
    program = selftest(kernel.base(f"small-{series}"))
    run = lab.run("--kernel", series, "--add", f"{program}:lab/{NAME}", "--timeout", 300,
                  l1=f"load-kvm && /lab/{NAME} >/out/said 2>&1\n")
    said = run.file("said")
    assert run.status == 0, said
    # Four VMs of four vCPUs each.
    assert re.search(r"^1\.\.4$", said, re.M), said
    assert re.search(r"^# Totals: pass:4 fail:0 xfail:0 xpass:0 skip:0 error:0$", said, re.M), said
