# SPDX-License-Identifier: GPL-2.0
"""The course's method: KVM's Intel module with a patch that counts as an assignment asks."""

import shutil
import subprocess
from pathlib import Path

from vmxlab import REPO, cache, kernel, toolchain
from vmxlab.errors import LabError
from vmxlab.progress import Step


def patch(series: str) -> Path:
    """The patch for a series, which may not exist."""
    return REPO / f"tests/bench/course-{series}.patch"


def module(series: str) -> Path:
    """kvm-intel.ko with the patch, for the stock kernel; built once and kept.

    Only this module is built, beside a copy of its sources; kvm.ko stays the stock one.
    """
    stock = kernel.get(series)

    def build(folder: Path) -> None:
        left_out = shutil.ignore_patterns("*.o", "*.ko", ".*.cmd", "*.mod", "*.mod.c")
        shutil.copytree(stock.tree / "arch/x86/kvm", folder / "arch/x86/kvm", ignore=left_out)
        done = subprocess.run(["patch", "-p1", "-s", "-i", patch(series)], cwd=folder,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"{patch(series).name} does not go onto Linux {stock.version}:\n"
                           f"{done.stdout}{done.stderr}")
        with Step(f"Building the course's module for Linux {stock.version}"):
            # With no name, an object is not built: kvm.ko and AMD's module.
            kernel.run_make(stock.tree, f"M={folder}/arch/x86/kvm", "CONFIG_KVM_X86=",
                            "CONFIG_KVM_AMD=", "modules")

    key = cache.digest("course", stock.key, toolchain.versions(), patch(series))
    folder = cache.entry("modules", key, build,
                         what=f"the course's kvm-intel for Linux {stock.version}")
    return folder / "arch/x86/kvm/kvm-intel.ko"
