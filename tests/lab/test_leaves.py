# SPDX-License-Identifier: GPL-2.0
"""The guest interface under each setting, read by two programs, and beside stock KVM."""

import json
import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, views

UNDEFINED = (0, 0, 0, 0xFFFFFFFF)
C, D, E, F = 0x4FFFFFFC, 0x4FFFFFFD, 0x4FFFFFFE, 0x4FFFFFFF
ASKED = (1, 3, 10, 12, 28, 30, 35, 48, 52, 55, 69, 444)


@pytest.fixture(scope="module")
def patched(lab: Lab, vmxscope: Path) -> Run:
    """Guests on our KVM, under one setting after the other."""
    return guests(lab, vmxscope)


@pytest.fixture(scope="module")
def stock(lab: Lab, vmxscope: Path) -> Run:
    """The same guest on a KVM without our patches."""
    return guests(lab, vmxscope, "--stock")


def guests(lab: Lab, vmxscope: Path, *options: str) -> Run:
    run = lab.run(*options, "--timeout", 600, "--add-guest", f"{vmxscope}:lab/vmxscope",
                  l1=(REPO / "tests/lab/leaves.sh").read_text(),
                  l2=(REPO / "tests/lab/leaves-l2.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


def parts(run: Run, name: str) -> dict[str, str]:
    """What a guest reported, by the heading."""
    pieces = re.split(r"^== (\w+)\n", run.file(name), flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def leaves(text: str) -> dict[tuple[int, int], tuple[int, ...]]:
    """Registers by leaf and subleaf, from either program's lines."""
    number = "(0x[0-9a-f]+)"
    line = rf"^ +{number} {number}: eax={number} ebx={number} ecx={number} edx={number}$"
    rows = [[int(word, 16) for word in found] for found in re.findall(line, text, re.M)]
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def count(registers: tuple[int, ...]) -> int:
    """The 64-bit count of an answer of the count leaves."""
    return registers[3] << 32 | registers[0]


def test_cpuid_of_debian_prints_the_same_registers_as_our_reader(patched: Run) -> None:
    said = parts(patched, "spring22")
    before, between, after = (leaves(said[name]) for name in ("before", "cpuid", "after"))
    wanted = {(leaf, reason) for leaf in (C, D, E, F) for reason in (*range(70), 444)}
    assert set(before) == set(after) == wanted
    same = [key for key in between if key in before and before[key] == after[key]]
    for key in same:
        assert between[key] == before[key], key
    for reason in ASKED:
        if reason not in (35, 444):
            key = (D, reason)
            assert count(before[key]) <= count(between[key]) <= count(after[key]), key
    # What did not change meanwhile shows that the comparison is one of equals.
    assert {(D, 3), (D, 35), (D, 55), (C, 55), (D, 69), (D, 444), (C, 444)} <= set(same)
    assert count(before[F, 0]) < count(between[F, 1]) < count(after[F, 0])


def test_undefined_reasons_and_those_not_enabled_answer_as_the_interface_says(patched: Run) -> None:
    before = leaves(parts(patched, "spring22")["before"])
    for leaf in (C, D):
        for reason in (35, 38, 42, 444):
            assert before[leaf, reason] == UNDEFINED, (hex(leaf), reason)
        # SIPI and INIT come to no guest of KVM; KVM does not ask for RDTSC exits.
        for reason in (3, 4, 16):
            assert before[leaf, reason] == (0, 0, 0, 0), (hex(leaf), reason)
    for reason in (10, 12, 30):
        eax, ebx, ecx, edx = before[D, reason]
        assert eax > 0 and ebx == ecx == 0 and edx == 0
        eax, ebx, ecx, edx = before[C, reason]
        assert eax == edx == 0 and ecx > 0
    eax, ebx, ecx, edx = before[E, 0]
    assert eax == edx == 0 and ecx > 0
    assert all(before[F, 7][i] > 0 for i in (0, 2))


def test_every_vcpu_reads_the_same(patched: Run) -> None:
    rows = re.findall(r"0x4ffffffd .*", parts(patched, "spring22")["cpus"])
    assert len(rows) == 2 and rows[0] == rows[1]


def test_a_thousand_random_selectors_leave_no_trace_on_the_host(patched: Run) -> None:
    for name in ("spring22", "combined", "fall22"):
        assert "status 0" in parts(patched, name)["check"], parts(patched, name)["check"]
    said = patched.file("dmesg-1") + patched.file("dmesg-2")
    assert not re.search(r"exit_stats|WARNING:|BUG:|Oops|Call Trace", said), said


def test_other_layouts_have_the_same_figures_in_other_leaves(patched: Run) -> None:
    fall = leaves(parts(patched, "fall22")["cpuid"])
    assert fall[E, 444] == fall[F, 444] == UNDEFINED
    assert count(fall[E, 10]) > 0 and fall[F, 10][0] == 0 and fall[F, 10][2] > 0
    assert fall[C, 10][0] > 0 and fall[D, 10][0] == 0 and fall[D, 10][2] > 0
    assert fall[0x4FFFFFFB, 0][0] & 0xFFFF == 0x0101
    combined = leaves(parts(patched, "combined")["cpuid"])
    assert combined[E, 444] == UNDEFINED and count(combined[E, 10]) > 0
    assert combined[F, 10][0] > 0 and combined[F, 10][2] > 0
    assert combined[0x4FFFFFFB, 0][0] & 0xFFFF == 0x0201


def test_amds_cpuid_and_no_histograms_are_served_too(patched: Run) -> None:
    said = parts(patched, "fall22")
    assert leaves(said["cpuid"])[0x4FFFFFFB, 0] == (0x0101, 0x454D564B, 0x53746978, 0x73746174)
    view = json.loads(said["exits"].partition("\nstatus")[0])
    assert view["total"]["exits"] == sum(row["exits"] for row in view["reasons"]) > 1000
    table = views.table(patched.file("fall22.vm/exit_stats_raw"))
    assert not any(table.buckets.values())


@pytest.mark.parametrize("name", ["off", "vmm", "key-off"])
def test_switched_off_the_leaves_are_those_of_an_unpatched_kvm(
    patched: Run, stock: Run, name: str
) -> None:
    ours, theirs = parts(patched, name), parts(stock, "stock")
    assert leaves(ours["cpuid"]) == leaves(theirs["cpuid"])
    assert len(leaves(ours["cpuid"])) == 4 * len(ASKED) + 6
    for said in (ours, theirs):
        assert "status 3" in said["exits"], said["exits"]
        assert "KVM" in said["exits"]


@pytest.mark.parametrize("name", ["spring22", "off", "vmm", "combined", "fall22"])
def test_each_vm_has_the_exits_that_were_traced_and_all_of_its_time(
    patched: Run, name: str
) -> None:
    vm, host = (views.table(patched.file(f"{name}.{of}/exit_stats_raw")) for of in ("vm", "host"))
    assert vm.exits() == exits.histogram(patched.file(f"{name}.hist"))
    exits.check_consistent(vm, int(patched.file(f"{name}.vm/exits")))
    exits.check_life(vm, patched.file(f"{name}.vm/exit_stats_vcpus"))
    # The host's table is the sum over the VMs that there are.
    assert host.rows == vm.rows
    # The third reading of the clock, without which the guest's time has that of the entries.
    assert (vm[views.TOTAL]["entry"] > 0) == (name == "combined")


def test_with_the_key_off_there_is_no_table(patched: Run) -> None:
    there = {path.name for path in (patched.out / "out/key-off.vm").iterdir()}
    assert there >= {"exits"} and not any("raw" in name or "vcpus" in name for name in there)
    assert int(patched.file("key-off.vm/exits")) > 1000
    assert views.table(patched.file("key-off.host/exit_stats_raw")).exits() == {}


def test_each_vm_starts_at_zero_with_a_number_of_its_own(patched: Run) -> None:
    instances = set()
    for name in ("spring22", "combined", "fall22"):
        view = json.loads(parts(patched, name)["exits"].partition("\nstatus")[0])
        own = sum(exits.histogram(patched.file(f"{name}.hist")).values())
        assert 0 < view["total"]["exits"] <= own
        eax, ebx, ecx, edx = leaves(parts(patched, name)["instance"])[0x4FFFFFFB, 2]
        assert ecx == edx == 0 and view["instance"] == ebx << 32 | eax
        instances.add(view["instance"])
    assert len(instances) == 3 and 0 not in instances


def test_what_is_set_while_a_vm_runs_changes_nothing_for_it(patched: Run) -> None:
    # Set while it booted: guest off, layout fall22, no histograms.
    said = parts(patched, "spring22")
    assert leaves(said["cpuid"])[0x4FFFFFFB, 0][0] == 0x20001
    assert any(views.table(patched.file("spring22.vm/exit_stats_raw")).buckets.values())
    assert "status 3" in parts(patched, "off")["exits"]


def test_bad_values_are_refused_and_a_reset_and_an_end_leave_zero(patched: Run) -> None:
    assert patched.file("refused") == ""
    for name in ("reset.vm", "reset.host", "ended", "reloaded"):
        total = views.table(patched.file(name))[views.TOTAL]
        # The least and the most of one exit cannot be taken apart.
        assert not any(figure for field, figure in total.items() if field not in ("min", "max"))
