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
    run = lab.run(*options, "--timeout", 300, "--add-guest", f"{vmxscope}:lab/vmxscope",
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
    table = views.table(patched.file("fall22.after"))
    assert not any(table.buckets.values())


@pytest.mark.parametrize("name", ["off", "key-off"])
def test_switched_off_the_leaves_are_those_of_an_unpatched_kvm(
    patched: Run, stock: Run, name: str
) -> None:
    ours, theirs = parts(patched, name), parts(stock, "stock")
    assert leaves(ours["cpuid"]) == leaves(theirs["cpuid"])
    assert len(leaves(ours["cpuid"])) == 4 * len(ASKED) + 6
    for said in (ours, theirs):
        assert "status 3" in said["exits"], said["exits"]
        assert "KVM" in said["exits"]


@pytest.mark.parametrize("name", ["spring22", "off", "combined", "fall22"])
def test_the_hosts_table_grew_by_what_was_traced(patched: Run, name: str) -> None:
    before, after = (views.table(patched.file(f"{name}.{when}")) for when in ("before", "after"))
    grown = {reason: row["exits"] - before[reason]["exits"] for reason, row in after.rows.items()
             if reason < views.BEYOND and row["exits"] != before[reason]["exits"]}
    assert grown == exits.histogram(patched.file(f"{name}.hist"))
    exits.check_consistent(after)


def test_with_the_key_off_nothing_is_counted(patched: Run) -> None:
    before, after = (views.table(patched.file(f"key-off.{when}")) for when in ("before", "after"))
    assert before.rows == after.rows


def test_a_vm_starts_at_zero_and_a_host_wide_view_does_not(patched: Run) -> None:
    for name, host in (("spring22", False), ("combined", True), ("fall22", False)):
        view = json.loads(parts(patched, name)["exits"].partition("\nstatus")[0])
        assert view["host_scope"] == host
        own = sum(exits.histogram(patched.file(f"{name}.hist")).values())
        past = views.table(patched.file(f"{name}.before"))[views.TOTAL]["exits"]
        assert (past < view["total"]["exits"] <= past + own) if host else \
            (0 < view["total"]["exits"] <= own)


def test_bad_values_are_refused_and_a_reload_or_a_reset_starts_at_zero(patched: Run) -> None:
    assert patched.file("refused") == ""
    for name in ("reset", "reloaded"):
        assert views.table(patched.file(name))[views.TOTAL]["exits"] == 0, name
