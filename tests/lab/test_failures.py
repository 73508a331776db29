# SPDX-License-Identifier: GPL-2.0
"""Entries that fail, in each of the ways in which a VMM can make them."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, views

ROUNDS = 1000
# Why KVM_RUN returns (linux/kvm.h), and the reason of a failed VM entry.
RUN_IO, RUN_HLT, RUN_FAIL_ENTRY = 2, 5, 9
INVALID_STATE, FAILED_ENTRY = 33, 1 << 31
INVALID_CONTROL = 7  # A VM-instruction error, not an exit reason.

KERNELS = [pytest.param("6.12"), pytest.param("7.3", marks=pytest.mark.matrix)]
pytestmark = pytest.mark.parametrize("series", KERNELS)


def run_vms(lab: Lab, l3: Path, series: str) -> Run:
    """Run all of the VMs, each of a thousand rounds, in one machine."""
    run = lab.run("--kernel", series, "--add", f"{l3}:lab/l3", "--timeout", 300,
                  l1=(REPO / "tests/lab/failures.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


def view(run: Run, name: str) -> views.Table:
    """One VM's table, which is what was traced and what KVM counts as entries."""
    table = views.table(run.file(f"{name}/exit_stats_raw"))
    assert table.exits() == exits.histogram(run.file(f"{name}/hist"))
    exits.check_consistent(table, int(run.file(f"{name}/exits")))
    exits.check_life(table, run.file(f"{name}/exit_stats_vcpus"))
    stats = dict(re.findall(r"^stats (\w+)(.*)", run.file(f"{name}/runs"), re.M))
    pairs = (pair.split(":") for pair in stats["exits_by_reason"].split())
    assert table.exits() == {int(reason): int(value) for reason, value in pairs}
    return table


def runs(run: Run, name: str) -> list[tuple[int, int, int]]:
    """What KVM_RUN returned: reason, detail, how often in a row."""
    found = re.findall(r"^(\d+) (\w+) (\d+)$", run.file(f"{name}/runs"), re.M)
    return [(int(a), int(b, 16), int(c)) for a, b, c in found]


def test_a_guest_that_enters_each_time_fills_neither_bucket(lab: Lab, l3: Path,
                                                            series: str) -> None:
    run = run_vms(lab, l3, series)
    table = view(run, "unrestricted/work")
    assert runs(run, "unrestricted/work") == [(RUN_IO, 0x80, ROUNDS), (RUN_HLT, 0, 1)]
    assert (table[10]["exits"], table[30]["exits"], table[12]["exits"]) == (ROUNDS, ROUNDS, 1)
    assert table[views.FAILED]["exits"] == table[views.EMULATED]["exits"] == 0


def test_an_invalid_guest_state_is_an_exit_of_its_basic_reason(
    lab: Lab, l3: Path, series: str
) -> None:
    run = run_vms(lab, l3, series)
    # By RFLAGS, at which KVM does not look; by a segment, at which it does not
    # look if the guest is unrestricted, or if it is told not to emulate.
    for name, times in (("unrestricted/state", ROUNDS), ("unrestricted/segment", 1),
                        ("unchecked/segment", 1)):
        table = view(run, name)
        assert runs(run, name) == [(RUN_FAIL_ENTRY, FAILED_ENTRY | INVALID_STATE, times)]
        assert table.exits() == {INVALID_STATE: times}
        assert table[views.FAILED]["exits"] == table[views.EMULATED]["exits"] == 0
        # The trigger shows the reason as the hardware gave it: bit 31 was set.
        assert f"exit_reason: {FAILED_ENTRY | INVALID_STATE} }}" in run.file(f"{name}/hist")


def test_an_entry_that_vmlaunch_refuses_is_a_failed_one_and_no_exit(
    lab: Lab, l3: Path, series: str
) -> None:
    run = run_vms(lab, l3, series)
    table = view(run, "unrestricted/control")
    assert runs(run, "unrestricted/control") == [(RUN_FAIL_ENTRY, INVALID_CONTROL, ROUNDS)]
    assert table.exits() == {}
    assert table[views.FAILED]["exits"] == ROUNDS
    assert table[views.EMULATED]["exits"] == 0
    assert all(value == 0 for value in table[views.TOTAL].values())


def test_an_entry_that_kvm_emulates_is_in_a_bucket_of_its_own(
    lab: Lab, l3: Path, series: str
) -> None:
    run = run_vms(lab, l3, series)
    table = view(run, "restricted/segment")
    # Each OUT goes to the VMM, so there is an entry for each, and one for HLT.
    assert runs(run, "restricted/segment") == [(RUN_IO, 0x80, ROUNDS), (RUN_HLT, 0, 1)]
    assert table.exits() == {}
    assert table[views.FAILED]["exits"] == 0
    assert table[views.EMULATED]["exits"] >= ROUNDS + 1
    # Real mode by virtual-8086 mode needs no emulation, but HLT faults in it.
    real = view(run, "restricted/work")
    assert real.exits().keys() >= {0, 10, 30}, real.exits()
    assert 12 not in real.exits()


def test_the_hosts_table_has_them_while_the_vm_is_there(lab: Lab, l3: Path, series: str) -> None:
    run = run_vms(lab, l3, series)
    for name in ("unrestricted/state", "unrestricted/control", "restricted/segment"):
        assert views.table(run.file(f"{name}/host")).rows == view(run, name).rows
    assert views.table(run.file("ended")).exits() == {}
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", run.file("dmesg")), run.file("dmesg")
