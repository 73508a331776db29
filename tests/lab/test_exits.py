# SPDX-License-Identifier: GPL-2.0
"""The proof: every view of a VM's exits says the same, exactly, by reason."""

import json
import re
from pathlib import Path

import pytest

import exits
from conftest import REPO, Lab, Provoke, Run, second_kernel

# Basic exit reasons (SDM vol. 3, appendix C) that the workload must provoke.
ALWAYS = {1: "external interrupt", 7: "interrupt window", 10: "CPUID", 12: "HLT", 28: "CR access",
          29: "MOV DR", 30: "I/O instruction", 31: "RDMSR", 32: "WRMSR", 54: "WBINVD", 55: "XSETBV"}
BY_EPT = {48: "EPT violation", 49: "EPT misconfiguration"}
BY_SHADOW = {0: "exception", 14: "INVLPG"}

# (kernel, model, CPUs, kvm-intel parameters)
CORE = [("6.12", "haswell", 1, "ept=1"), ("6.12", "haswell", 1, "ept=0"),
        ("6.12", "haswell", 2, "ept=1"), ("second", "haswell", 1, "ept=1")]
MATRIX = [("6.12", "penryn", 1, ""), ("6.12", "haswell", 2, "ept=0"), ("6.12", "broadwell", 1, ""),
          ("6.12", "tigerlake", 1, ""), ("second", "haswell", 1, "ept=0"),
          ("second", "haswell", 2, "ept=1"), ("second", "penryn", 1, "")]
MACHINES = [pytest.param(*machine) for machine in CORE]
MACHINES += [pytest.param(*machine, marks=pytest.mark.matrix) for machine in MATRIX]


def prove(lab: Lab, provoke: Provoke, vmxscope: Path, tmp: Path, machine: tuple) -> Run:
    """Run the proof's scripts in a machine."""
    series, model, cpus, params = machine
    series = second_kernel() if series == "second" else series
    (tmp / "rounds").write_text("50\n")
    run = lab.run(
        "--kernel", series, "--cpu", model, "--cpus", cpus, "--guest-cpus", cpus,
        "--kvm-intel", params, "--timeout", 900,
        "--add-guest", f"{provoke.module(series)}:lab/provoke.ko",
        "--add-guest", f"{vmxscope}:lab/vmxscope", "--add-guest", f"{tmp}/rounds:lab/rounds",
        l1=(REPO / "tests/lab/proof.sh").read_text(),
        l2=(REPO / "tests/lab/proof-l2.sh").read_text(),
    )
    assert run.status == 0, run.l1 + run.l2 + run.stderr
    return run


@pytest.mark.parametrize(("series", "model", "cpus", "params"), MACHINES)
def test_each_view_counts_the_same_exits_by_reason(
    lab: Lab, provoke: Provoke, vmxscope: Path, tmp_path: Path,
    series: str, model: str, cpus: int, params: str,
) -> None:
    run = prove(lab, provoke, vmxscope, tmp_path, (series, model, cpus, params))
    vm, host = exits.table(run.file("vm")), exits.table(run.file("host"))
    traced = exits.histogram(run.file("hist"))
    assert vm.exits() == traced
    exits.check_consistent(vm, int(run.file("exits")))
    exits.check_consistent(host)
    # One VM has run since KVM was loaded, so the host's table is its table.
    assert host.rows == vm.rows
    expected = ALWAYS | (BY_SHADOW if vm.exits().get(48, 0) == 0 else BY_EPT)
    missing = {number: name for number, name in expected.items() if number not in traced}
    assert not missing, traced
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", run.file("dmesg")), run.file("dmesg")
