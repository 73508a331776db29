# SPDX-License-Identifier: GPL-2.0
"""The KVM patch series: its patches, and the files that come with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vmxlab import REPO
from vmxlab.errors import LabError

OURS = REPO / "kvm-instrumentation"

# The patch that is of use to the course only.
COURSE = 12
# Where each file of kvm-instrumentation/ goes in a kernel tree, and the number
# of the patch that first builds it. The Rust files follow by a rule.
PLACES = {
    "exit_stats.h": (1, "arch/x86/include/asm/exit_stats.h"),
    "kvm_exit_stats.h": (2, "arch/x86/include/asm/kvm_exit_stats.h"),
    "exit_stats_hooks.h": (2, "arch/x86/kvm/exit_stats_hooks.h"),
    "exit_stats_keys.h": (3, "arch/x86/kvm/exit_stats_keys.h"),
    "exit_stats_alloc.h": (2, "arch/x86/kvm/exit_stats_alloc.h"),
    "exit_stats_core.c": (2, "arch/x86/kvm/exit_stats_core.c"),
    "exit_stats_controls.h": (3, "arch/x86/kvm/vmx/exit_stats_controls.h"),
    "exit_stats_vmx.c": (3, "arch/x86/kvm/vmx/exit_stats_vmx.c"),
    "exit_stats_cpuid.c": (6, "arch/x86/kvm/exit_stats_cpuid.c"),
    "exit_stats_show.h": (8, "arch/x86/kvm/exit_stats_show.h"),
    "exit_stats_debugfs.c": (8, "arch/x86/kvm/exit_stats_debugfs.c"),
    "exit-stats.rst": (9, "Documentation/virt/kvm/x86/exit-stats.rst"),
    "exit_stats_test.c": (10, "tools/testing/selftests/kvm/x86/exit_stats_test.c"),
    "exit_stats_course.c": (COURSE, "arch/x86/kvm/exit_stats_course.c"),
}
RUST_PLACE = (1, "arch/x86/kvm/exit_stats")
# What only the cargo library has: its root, readers, names, and what C does in a kernel.
NOT_IN_KERNEL = {"lib.rs", "outside.rs", "reader.rs", "reason.rs", "svm.rs", "vmx.rs"}


# The status of a program whose series does not fit.
MISFIT = 1


@dataclass(frozen=True)
class NewFile:
    """A file of ours, its place in a kernel tree, and the patch it belongs to."""

    source: Path
    place: str
    patch: int


def new_files() -> list[NewFile]:
    """All files that a series brings, in the order of their places."""
    files = [NewFile(OURS / name, place, patch) for name, (patch, place) in PLACES.items()]
    patch, folder = RUST_PLACE
    files += [
        NewFile(path, f"{folder}/{path.name}", patch)
        for path in (*(OURS / "src").glob("*.rs"), OURS / "src/Makefile")
        if path.name not in NOT_IN_KERNEL
    ]
    return sorted(files, key=lambda file: file.place)


def supported() -> list[str]:
    """The kernels for which there is a series."""
    names = {path.parent.name for path in (REPO / "patches").glob("*/*.patch")}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def patches(kernel: str) -> list[Path]:
    """The patches of a series, in order."""
    return sorted((REPO / "patches" / kernel).glob("*.patch"))


def choose(kernel: str, whose: str) -> list[Path]:
    """The patches for VERSION.PATCHLEVEL, as which `whose` sources have named themselves."""
    series = patches(kernel)
    if not series:
        raise LabError(f"{whose} is Linux {kernel}, for which there is no series",
                       f"There is one for: {', '.join(supported())}.", MISFIT)
    return series


def touched(patch: str) -> list[str]:
    """The files that a patch changes."""
    return re.findall(r"^\+\+\+ b/(\S+)", patch, re.M)


def inputs(kernel: str) -> list[Path]:
    """All files that go into a tree with the series."""
    return [*patches(kernel), *(file.source for file in new_files())]
