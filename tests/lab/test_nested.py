# SPDX-License-Identifier: GPL-2.0
"""A guest inside the nested guest: L3 runs in L2, and L1 counts what both do."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, kernel, kvm, views

ROUNDS = 1000  # As in nested-l2.sh.
EXCEPTION, CPUID, HLT, IO = 0, 10, 12, 30
VMLAUNCH, VMREAD, VMRESUME, PREEMPTION_TIMER = 20, 23, 24, 52
# The VMX instructions that L2's KVM executes, and that always exit.
VMX = {19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 24: "VMRESUME", 25: "VMWRITE", 27: "VMXON"}

# (kernel, L1's KVM, kvm-intel parameters): with and without a shadow VMCS, which lets
# L2's KVM execute most VMREADs and VMWRITEs without an exit. Beside a stock KVM,
# vmx_exits counts.
MACHINES = [
    pytest.param("6.12", "patched", "nested=1 enable_shadow_vmcs=0"),
    pytest.param("6.12", "stock", "nested=1 enable_shadow_vmcs=0"),
    pytest.param("6.12", "patched", "nested=1 enable_shadow_vmcs=1", marks=pytest.mark.matrix),
    pytest.param("6.12", "patched", "nested=1 ept=0", marks=pytest.mark.matrix),
    pytest.param("7.3", "patched", "nested=1", marks=pytest.mark.matrix),
]
pytestmark = pytest.mark.parametrize(("series", "modules", "params"), MACHINES)


def run_nested(lab: Lab, l3: Path, series: str, modules: str, params: str) -> Run:
    """Run L3 in L2 in L1."""
    added = [f"{l3}:lab/l3"]
    inner = kvm.modules(kernel.base(f"small-{series}"), modules).modules
    added += [f"{module}:lab/{module.name}" for module in inner
              if module.stem in ("irqbypass", "kvm", "kvm-intel")]
    words = [word for file in added for word in ("--add-guest", file)]
    run = lab.run("--kernel", series, "--kvm-modules", modules, "--kvm-intel", params,
                  "--timeout", 300, *words,
                  l1=(REPO / "tests/lab/nested.sh").read_text(),
                  l2=(REPO / "tests/lab/nested-l2.sh").read_text())
    assert run.status == 0, run.l1 + run.l2 + run.stderr
    return run


def by_l3(table: views.Table) -> dict[int, int]:
    """The exits of each reason that were taken while L3 ran."""
    return {reason: table[reason]["l2"] for reason in table.exits() if table[reason]["l2"]}


def test_exits_of_a_guest_inside_the_guest_are_counted_as_such(
    lab: Lab, l3: Path, series: str, modules: str, params: str
) -> None:
    run = run_nested(lab, l3, series, modules, params)
    assert "l3 0\n2 0x80 1000\n5 0 1\n" in run.file("guest")
    table = views.table(run.file("vm"))
    nested = by_l3(table)
    # L3's program is known to the instruction: it is all that executes there.
    assert (nested[CPUID], nested[IO]) == (ROUNDS, ROUNDS)
    if "ept=0" in params:
        # No EPT, so no unrestricted guest: L2's KVM runs L3's real mode as virtual-8086
        # mode, in which HLT is a general-protection fault.
        assert nested[EXCEPTION] > 0 and HLT not in nested
    else:
        assert nested[HLT] == 1
    for reason, row in table.rows.items():
        assert row["l2"] <= row["exits"], reason
    # L2 boots Linux, which executes both as well.
    assert table[CPUID]["exits"] > ROUNDS and table[IO]["exits"] > ROUNDS


def test_exits_of_a_guest_inside_the_guest_are_those_that_kvm_handles_as_nested(
    lab: Lab, l3: Path, series: str, modules: str, params: str
) -> None:
    run = run_nested(lab, l3, series, modules, params)
    nested = by_l3(views.table(run.file("vm")))
    handled = exits.histogram(run.file("kvm_nested_vmexit"))
    # The fastpath re-enters L3 from the host's own timer before that event.
    assert nested.pop(PREEMPTION_TIMER, 0) >= handled.pop(PREEMPTION_TIMER, 0)
    assert nested == handled


def test_a_hypervisors_own_instructions_are_exits_of_the_guest_that_it_is(
    lab: Lab, l3: Path, series: str, modules: str, params: str
) -> None:
    run = run_nested(lab, l3, series, modules, params)
    table = views.table(run.file("vm"))
    missing = {number: name for number, name in VMX.items() if not table[number]["exits"]}
    assert not missing, table.exits()
    assert all(table[number]["l2"] == 0 for number in (*VMX, VMREAD))
    if "enable_shadow_vmcs=0" in params:
        assert table[VMREAD]["exits"] > ROUNDS
    # Each entry to L3 that L2 asked for went through, by KVM's own count.
    assert table[VMLAUNCH]["exits"] + table[VMRESUME]["exits"] == int(run.file("nested_run"))


def test_each_view_agrees_on_the_exits_of_both_guests(
    lab: Lab, l3: Path, series: str, modules: str, params: str
) -> None:
    run = run_nested(lab, l3, series, modules, params)
    table = views.table(run.file("vm"))
    assert table.exits() == exits.histogram(run.file("kvm_exit"))
    exits.check_consistent(table, int(run.file("exits")))
    exits.check_life(table, run.file("exit_stats_vcpus"))
    assert views.table(run.file("host")).rows == table.rows
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", run.file("dmesg")), run.file("dmesg")
