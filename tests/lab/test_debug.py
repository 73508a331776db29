# SPDX-License-Identifier: GPL-2.0
"""Kernels that look for faults find none of ours, and each kind that is planted."""

import re
import shutil

import pytest

from conftest import Lab
from vmxlab import REPO, guest, kernel
from vmxlab.machine import Run

HERE = REPO / "tests/lab"
ROUNDS = 3
PROGRAMS = ("hostile", "wild", "failing", "limits", "l3")
# How each report of such a kernel begins, by the fault that is planted to see it.
REPORTS = {
    "debug": {
        "free": r"BUG: KASAN: slab-use-after-free in plant_free",
        "bounds": r"BUG: KASAN: slab-out-of-bounds in plant_bounds",
        "shift": r"UBSAN: shift-out-of-bounds in .*planted\.c",
        "sleep": r"BUG: (scheduling while atomic|sleeping function called).*",
        "rcu": r"WARNING: suspicious RCU usage",
        "locks": r"WARNING: possible circular locking dependency detected",
    },
    "kcsan": {"race": r"BUG: KCSAN: data-race in race"},
}
TROUBLE = re.compile(r"BUG:|UBSAN:|WARNING:|INFO:|ODEBUG:|Oops|Call Trace|stall|unreferenced")
OURS = re.compile(r"exit_stats|vmx_exits")
# What an allocation that fails may have a thing say, and what is said if all is right.
TOLERATED = {"ENOMEM", "-"}
THINGS = {"make", "run", "snapshot", "read:exit_stats_raw", "reset:exit_stats_raw",
          "read-vm:exit_stats_raw", "reset-vm:exit_stats_raw", "read-vm:exit_stats_vcpus",
          "read-vm:exit_stats_causes"}

MACHINES = [(f"{kind}-{series}", modules) for kind in REPORTS for series in ("6.12", "7.3")
            for modules in ("patched", "stock")]
pytestmark = [pytest.mark.matrix, pytest.mark.parametrize(
    ("base", "modules"), MACHINES, ids=["-".join(machine) for machine in MACHINES])]


@pytest.fixture(name="run")
def one_run(lab: Lab, base: str, modules: str) -> Run:
    """One run of the script."""
    planted = lab.top / f"planted-{base}"
    if not planted.exists():
        shutil.copytree(HERE / "planted", planted)
        kernel.run_make(kernel.base(base).headers, f"M={planted}", "modules")
    rounds = lab.top / "debug-rounds"
    rounds.write_text(f"{ROUNDS}\n")
    added: list[object] = ["--add", f"{rounds}:lab/rounds", "--add", planted / "planted.ko"]
    for name in PROGRAMS:
        if not (program := lab.top / name).exists():
            program = guest.build_c(HERE / f"{name}.c", lab.top)
        added += ["--add", program]
    # A race of two CPUs needs two, and all else takes half as long on one.
    run = lab.run("--base", base, "--kvm-modules", modules, "--timeout", 3000,
                  "--cpus", 2 if base.startswith("kcsan") else 1, *added,
                  l1=(HERE / "debug.sh").read_text())
    assert run.status == 0, run.l1[-3000:] + run.stderr
    return run


def test_there_is_no_report_but_of_the_planted_leak(run: Run, base: str, modules: str) -> None:
    # debugfs says of itself that it is without what an allocation that failed was for.
    log = re.sub(r"^.*debugfs: out of free dentries.*\n", "", run.file("dmesg"), flags=re.M)
    del modules
    if base.startswith("kcsan"):
        # Much of a kernel is not marked for KCSAN, and is left alone here.
        reports = re.findall(r"BUG: KCSAN: .*", log)
        assert not [report for report in reports if OURS.search(report)], log
        assert not re.search(r"BUG: (?!KCSAN)|WARNING:|Oops", log), log
        return
    assert not TROUBLE.search(log), log
    # What was never freed is found, which is what was planted, and nothing else.
    lost = re.findall(r"^unreferenced object.*\n(?: .*\n)+", run.file("kmemleak"), re.M)
    assert len(lost) >= 5 and all("plant_leak" in report for report in lost), run.file("kmemleak")
    assert re.search(r"^ debug_locks: +1$", run.file("lockdep"), re.M), run.file("lockdep")
    # vmx_exits says what it cannot count, and nothing else.
    told = r"vmx_exits: (loading out-of-tree.*|out of memory: the exits of a vCPU are not counted)"
    assert not OURS.search(re.sub(told, "", log)), log


def test_all_was_done_at_once(run: Run, base: str, modules: str) -> None:
    del base, modules
    counts = re.findall(r"^(\S+) (\d+)$", run.file("done"), re.M)
    assert {name for name, _ in counts} == {"reads.1", "reads.2", "vms.1", "vms.2"}, counts
    assert min(int(count) for _, count in counts) >= 2, counts
    taken = re.findall(r"^did (\w+) (\d+) (\d+)$", run.file("wild"), re.M)
    assert len({kind for kind, _, number in taken if int(number)}) == 9, taken


def test_an_allocation_that_fails_is_told_and_nothing_else(
    run: Run, base: str, modules: str
) -> None:
    if base.startswith("kcsan"):
        assert not (run.out / "out/failing").exists()
        return
    said = re.findall(r"^(\S+) (done )?(\d+) (\S+)$", run.file("failing"), re.M)
    assert {name for name, *_ in said} == THINGS, said
    assert {error for *_, error in said} <= TOLERATED, said
    # Without a failure each is done.
    ends = {name: error for name, done, _, error in said if done}
    assert ends == dict.fromkeys(THINGS, "-"), ends
    # The snapshot's two allocations, its counters and its causes: the guest is told of each.
    failed = [error for name, done, _, error in said if name == "snapshot" and not done]
    assert failed.count("ENOMEM") == 2, failed
    vcpus, taken, status = re.findall(r"^(?:vcpus|taken|status) (\d+)$", run.file("memory"), re.M)
    assert int(taken) < int(vcpus) and status == "0"


def test_each_planted_fault_is_found(run: Run, base: str, modules: str) -> None:
    del modules
    for fault, pattern in REPORTS[base.partition("-")[0]].items():
        assert "temporarily unavailable" in run.file(f"planted.{fault}.error"), fault
        assert re.search(pattern, run.file(f"planted.{fault}")), run.file(f"planted.{fault}")
