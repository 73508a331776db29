# SPDX-License-Identifier: GPL-2.0
"""Kernels as Debian built them: each is machine and guest, and takes vmx_caps."""

import re

import pytest

from conftest import Lab, Run
from test_caps import TROUBLE, TRY, lines, logged
from vmxlab import kernel, module

BASES = ("debian-6.12", "debian-7.3", "debian-6.1")
# Of the newest both roots of the module can be built.
BOTH = "debian-7.3"


def modules_of_both() -> list[bytes]:
    """The module from `core` alone, and with the kernel crate."""
    base = kernel.base(BOTH)
    return [module.modules(base, kernel_crate=crate)[0].read_bytes() for crate in (False, True)]


def run_on(lab: Lab, base: str) -> Run:
    """Load the module in a machine of this kernel, and boot the same kernel as its guest."""
    script, words = TRY + "try /lab/modules/vmx_caps.ko /out\n", []
    if base == BOTH:
        core = module.modules(kernel.base(base), kernel_crate=False)[0]
        script += "try /lab/core.ko /out/core\n"
        words = ["--add", f"{core}:lab/core.ko"]
    run = lab.run("--base", base, "--kvm-modules", "stock", "--cpu", "haswell",
                  "--timeout", 400, *words, l1=script + "uname -r; guest\n",
                  l2="uname -r; echo modules: $(lsmod | wc -l); exit 3\n")
    assert run.status == 3, run.l1 + run.stderr
    return run


@pytest.mark.parametrize("base", BASES)
def test_a_distributions_own_kernel_is_both_machine_and_guest(lab: Lab, base: str) -> None:
    run = run_on(lab, base)
    release = next(line for line in run.l1.splitlines() if re.fullmatch(r"[\d.]+\S+-amd64", line))
    assert release.startswith(base.removeprefix("debian-") + ".")
    assert release in run.l2.splitlines()


def test_they_have_the_same_log_from_either_root_and_in_debugfs(lab: Lab) -> None:
    # Rust's own entry points are in one of the two only.
    assert [b"6kernel" in code for code in modules_of_both()] == [False, True]
    tried = [(run_on(lab, base), folder) for base in BASES
             for folder in ("", "core/") if not folder or base == BOTH]
    first = lines(*tried[0])
    # A log of nothing would equal a log of nothing.
    assert logged("\n".join(first))
    for run, folder in tried:
        where = f"{run.out}/{folder}"
        assert run.file(f"{folder}insmod") == "0\n", where + run.file(f"{folder}log")
        assert set(lines(run, folder)) == set(first), where
        assert run.file(f"{folder}debugfs-text").splitlines() == lines(run, folder), where
        assert run.file(f"{folder}rmmod") == "0\n" and run.file(f"{folder}left") == "", where
        assert not TROUBLE.search(run.file(f"{folder}log") + run.file(f"{folder}after")), where
