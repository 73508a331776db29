# SPDX-License-Identifier: GPL-2.0
"""The proof: every view of a VM's exits says the same, exactly, by reason."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, MakeKvm, Provoke, Run
from vmxlab import REPO, views

# Basic exit reasons (SDM vol. 3, appendix C) that the workload must provoke.
ALWAYS = {1: "external interrupt", 7: "interrupt window", 10: "CPUID", 12: "HLT", 28: "CR access",
          29: "MOV DR", 30: "I/O instruction", 31: "RDMSR", 32: "WRMSR", 54: "WBINVD", 55: "XSETBV"}
BY_EPT = {48: "EPT violation", 49: "EPT misconfiguration"}
BY_SHADOW = {0: "exception", 14: "INVLPG"}
# Penryn has neither the VMX-preemption timer nor PAUSE-loop exiting.
SINCE_NEHALEM = {40: "PAUSE", 52: "VMX-preemption timer expired"}

# (base, model, CPUs, kvm-intel parameters). On Debian's own image KVM's modules are ours and
# the rest of the kernel is not, so that a layout that only they know of shows there.
CORE = [("small-6.12", "haswell", 1, "ept=1"), ("small-6.12", "haswell", 1, "ept=0"),
        ("small-6.12", "haswell", 2, "ept=1"), ("debian-7.3", "haswell", 1, "ept=1"),
        ("debian-6.12", "haswell", 1, "ept=1")]
MATRIX = [("small-6.12", "penryn", 1, ""), ("small-6.12", "haswell", 2, "ept=0"),
          ("small-6.12", "broadwell", 1, ""), ("small-6.12", "tigerlake", 1, ""),
          ("small-7.3", "haswell", 1, "ept=0"), ("small-7.3", "haswell", 2, "ept=1"),
          ("small-7.3", "penryn", 1, ""), ("small-7.3", "haswell", 1, "ept=1")]
MACHINES = [pytest.param(*machine) for machine in CORE]
MACHINES += [pytest.param(*machine, marks=pytest.mark.matrix) for machine in MATRIX]


def prove(lab: Lab, provoke: Provoke, make_kvm: MakeKvm, vmxscope: Path,
          machine: tuple) -> Run:
    """Run the proof's scripts in a machine."""
    base, model, cpus, params = machine
    # The same path each time, so that a machine's tests share one run.
    rounds = lab.top / "rounds"
    rounds.write_text("50\n")
    module = provoke.module(base)
    run = lab.run(
        "--base", base, "--cpu", model, "--kvm-modules",
        make_kvm.folder(base) if base.startswith("debian") else "patched",
        "--cpus", cpus, "--guest-cpus", cpus,
        "--kvm-intel", params, "--timeout", 600,
        "--add-guest", f"{module}:lab/provoke.ko",
        "--add-guest", f"{vmxscope}:lab/vmxscope", "--add-guest", f"{rounds}:lab/rounds",
        l1=(REPO / "tests/lab/proof.sh").read_text(),
        l2=(REPO / "tests/lab/proof-l2.sh").read_text(),
    )
    assert run.status == 0, run.l1 + run.l2 + run.stderr
    return run


@pytest.mark.parametrize(("base", "model", "cpus", "params"), MACHINES)
def test_each_view_counts_the_same_exits_by_reason(
    lab: Lab, provoke: Provoke, make_kvm: MakeKvm, vmxscope: Path,
    base: str, model: str, cpus: int, params: str,
) -> None:
    run = prove(lab, provoke, make_kvm, vmxscope, (base, model, cpus, params))
    vm, host = views.table(run.file("vm")), views.table(run.file("host"))
    traced = exits.histogram(run.file("hist"))
    assert vm.exits() == traced
    exits.check_consistent(vm, int(run.file("exits")))
    exits.check_life(vm, run.file("vcpus"))
    # One VM has run since KVM was loaded, so the host's table is its table.
    assert host.rows == vm.rows
    expected = ALWAYS | (BY_SHADOW if vm.exits().get(48, 0) == 0 else BY_EPT)
    expected |= SINCE_NEHALEM if model != "penryn" else {}
    if model == "tigerlake":
        # Its preemption timer counts at the TSC's full rate, which KVM does not use
        # (hardware_setup() in vmx.c), and Linux finds Bochs' XSAVE area inconsistent
        # there and goes without XSAVE, so that KVM has none for guests.
        expected = {number: name for number, name in expected.items() if number not in (52, 55)}
    missing = {number: name for number, name in expected.items() if number not in traced}
    assert not missing, traced
    said = exits.without_its(run.file("dmesg"))
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", said), said


@pytest.mark.parametrize(("base", "model", "cpus", "params"), MACHINES)
def test_qemus_own_statistics_have_the_same_figures(
    lab: Lab, provoke: Provoke, make_kvm: MakeKvm, vmxscope: Path,
    base: str, model: str, cpus: int, params: str,
) -> None:
    run = prove(lab, provoke, make_kvm, vmxscope, (base, model, cpus, params))
    vm = views.table(run.file("vm"))
    if cpus > 1:
        pytest.skip("QEMU's monitor prints one vCPU's statistics at a time")
    for name, field in (("exits_by_reason", "exits"), ("exit_cycles_by_reason", "cycles")):
        figures = exits.qemu_histogram(run.file("stats"), name)
        expected = {reason: row[field] for reason, row in vm.rows.items()
                    if reason < views.BEYOND and row[field]}
        assert {i: figure for i, figure in enumerate(figures) if figure} == expected
    plain = dict(re.findall(r"^ *(\w+) \(cumulative\): (\d+)", run.file("stats"), re.M))
    assert int(plain["exits"]) == int(run.file("exits"))


@pytest.mark.parametrize(("base", "model", "cpus", "params"), MACHINES)
def test_the_guest_reads_what_the_host_counted_before_that_very_exit(
    lab: Lab, provoke: Provoke, make_kvm: MakeKvm, vmxscope: Path,
    base: str, model: str, cpus: int, params: str,
) -> None:
    run = prove(lab, provoke, make_kvm, vmxscope, (base, model, cpus, params))
    vm, guest = views.table(run.file("vm")), views.view(run.file("guest"))
    lost = re.findall(r"^(?:overrun|dropped events): (\d+)$", run.file("trace-stats"), re.M)
    assert set(lost) == {"0"}, run.file("trace-stats")
    read = {row["reason"]: row["exits"] for row in guest["reasons"] if row["exits"]}
    assert guest["total"]["exits"] == sum(read.values())
    assert guest["total"]["cycles"] == sum(row["cycles"] for row in guest["reasons"])
    assert guest["consistent"]
    if cpus > 1:
        # The other vCPU goes on while this one reads: no event says where.
        assert all(read.get(reason, 0) >= count for reason, count in vm.exits().items())
        return
    since = exits.traced_until_snapshot(run.file("trace"))
    expected = {reason: vm.exits().get(reason, 0) + since.get(reason, 0)
                for reason in vm.exits().keys() | since.keys()}
    assert read == expected
