# SPDX-License-Identifier: GPL-2.0
"""A guest and a VMM that do anything: what of that the host, and other guests, can notice."""

import re

import pytest

import exits
from conftest import Lab
from vmxlab import REPO, guest, views
from vmxlab.machine import Run

HERE = REPO / "tests/lab"
VCPUS = 2
KIB = 1024
# Of other things in L1. What a guest asks for, if a byte of each ask were kept, is more.
NOISE = 1024 * KIB

# Asks of each vCPU, for how many seconds that is repeated, and rounds of the VMM.
SHORT, LONG = (50_000, 0, 20), (500_000, 600, 2000)
MACHINES = [
    pytest.param(("small-6.12", "stock"), SHORT, id="beside"),
    pytest.param(("small-6.12", "patched"), SHORT, id="patched", marks=pytest.mark.matrix),
    *(pytest.param((base, modules), LONG, id=f"{base}-{modules}", marks=pytest.mark.matrix)
      for base, modules in (("small-6.12", "patched"), ("small-7.3", "patched"),
                            ("debian-6.12", "stock"), ("debian-7.3", "stock"))),
]
pytestmark = pytest.mark.parametrize(("machine", "amount"), MACHINES)


@pytest.fixture(name="run")
def one_run(lab: Lab, machine: tuple[str, str], amount: tuple[int, int, int]) -> Run:
    """One run of the script."""
    base, modules = machine
    numbers = lab.top / f"asks-{amount[0]}"
    numbers.write_text(" ".join(map(str, amount)) + "\n")
    added: list[object] = ["--add", f"{numbers}:lab/asks"]
    for name in ("hostile", "wild"):
        if not (program := lab.top / name).exists():
            program = guest.build_c(HERE / f"{name}.c", lab.top)
        added += ["--add", program]
    run = lab.run("--base", base, "--kvm-modules", modules, "--timeout", 300 + 6 * amount[1],
                  *added, l1=(HERE / "hostile.sh").read_text())
    assert run.status == 0, run.l1[-3000:] + run.stderr
    return run


def test_all_was_asked_and_each_ask_is_an_exit(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int]
) -> None:
    del machine
    said = re.findall(r"^asked (\d+) (0x[0-9a-f]+)$", run.file("many"), re.M)
    assert len(said) >= VCPUS and {int(asks) for asks, _ in said} == {amount[0]}
    # What is answered differs: it is of random leaves.
    assert len({answer for _, answer in said}) == len(said)
    table = views.table(run.file("many.table"))
    exits.check_consistent(table)
    assert table[10]["exits"] == VCPUS * amount[0]


def test_it_leaves_no_line_in_the_log(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int]
) -> None:
    del machine, amount
    assert exits.without_its(run.file("dmesg")).strip() == ""


def allocated(run: Run, name: str) -> dict[str, int]:
    """Allocations by the function of the exit statistics that made them."""
    text = run.file(f"{name}.allocated")
    assert "Dropped: 0" in text, text
    found = re.findall(r"\{ call_site: \[\w+\] (\S+).*\} hitcount: +(\d+)", text)
    return {symbol: int(count) for symbol, count in found
            if re.search("exit_stats|vmx_exits", symbol)}


def test_asking_more_allocates_no_more(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int]
) -> None:
    del machine, amount
    few = allocated(run, "few")
    # Each vCPU's counters and its snapshot, at least.
    assert sum(few.values()) >= 2 * VCPUS, run.file("few.allocated")
    vms = run.file("many").count("asked") // VCPUS
    assert allocated(run, "many") == {symbol: vms * count for symbol, count in few.items()}


def memory(run: Run, name: str) -> dict[str, int]:
    """Bytes of each kind of memory."""
    return {kind: KIB * int(kib)
            for kind, kib in re.findall(r"^(\w+): +(\d+) kB$", run.file(name), re.M)}


@pytest.mark.parametrize("what", ["", "-wild"])
def test_memory_is_where_it_was(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int], what: str
) -> None:
    del machine, amount
    before, after = memory(run, f"before{what}"), memory(run, f"after{what}")
    assert set(before) >= {"MemFree", "Slab", "SUnreclaim"}
    for kind in before.keys() - {"MemFree"}:
        assert after[kind] - before[kind] < NOISE, (kind, before, after)
    assert before["MemFree"] - after["MemFree"] < 2 * NOISE, (before, after)


def rate(run: Run, name: str) -> float:
    """The neighbour's exits a second of L1's clock, while the others all ran."""
    exits_, time = 0, 0
    for span in re.findall(r"^from (\d+) until (\d+)$", run.file(name), re.M):
        begun, ended = map(int, span)
        for line in re.findall(r"^exits (\d+) from (\d+) until (\d+)$", run.file("neighbour"),
                               re.M):
            count, first, last = map(int, line)
            if begun <= first and last <= ended:
                exits_, time = exits_ + count, time + last - first
    assert time > 1_500_000_000, (name, time)
    return 1e9 * exits_ / time


def test_the_neighbour_exits_no_less_often_than_next_to_quiet_guests(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int]
) -> None:
    del machine, amount
    quiet, hostile = rate(run, "quiet"), rate(run, "many")
    # That it exits more often, by a percent or two, is the scheduler's doing.
    assert hostile / quiet > 0.98, (quiet, hostile)


def test_a_vmm_that_does_anything_leaves_nothing(
    run: Run, machine: tuple[str, str], amount: tuple[int, int, int]
) -> None:
    del amount
    taken = {kind: int(number)
             for kind, number in re.findall(r"^did (\w+) \d+ (\d+)$", run.file("wild"), re.M)}
    # What can be turned by the VMM is a capability of the patched KVM alone.
    never = set() if machine[1] == "patched" else {"capability"}
    assert len(taken) == 9, taken
    assert {kind for kind, number in taken.items() if not number} <= never, taken
    assert exits.without_its(run.file("dmesg-wild")).strip() == ""
    assert not re.search(r"^\d+-\d+$", run.file("left"), re.M), run.file("left")
