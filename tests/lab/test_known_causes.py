# SPDX-License-Identifier: GPL-2.0
"""The causes of exits that the counters keep: of a guest of which each exit is known."""

import re
from collections import Counter

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, guest, views

ROUNDS = 100
# Reasons of the SDM, and codes of the APM.
VMX = {"wrmsr": 32, "rdmsr": 31, "cpuid": 10, "io": 30, "violation": 48, "mmio": 49}
SVM = {"wrmsr": 0x7C, "rdmsr": 0x7C, "cpuid": 0x72, "io": 0x7B, "violation": 0x400, "mmio": 0x400}
# Words of an entry, and flags of its first, as the interface has them.
HAS_KEY, HAS_RIP, CPL3 = 1, 2, 4

MACHINES = [
    pytest.param(("--kernel", "6.12"), "vmx", id="vmx"),
    pytest.param(("--kernel", "6.12", "--cpu", "trinity_apu"), "svm", id="svm"),
    pytest.param(("--kernel", "7.3"), "vmx", id="vmx-7.3", marks=pytest.mark.matrix),
    pytest.param(("--base", "small-6.12", "--kvm-modules", "stock"), "vmx", id="beside-vmx"),
    pytest.param(("--base", "small-6.12", "--kvm-modules", "stock", "--cpu", "trinity_apu"),
                 "svm", id="beside-svm"),
    *(pytest.param(("--base", base, "--kvm-modules", "stock"), "vmx", id=f"beside-vmx-{base}",
                   marks=pytest.mark.matrix)
      for base in ("debian-6.12", "debian-7.3", "debian-6.1")),
]
pytestmark = pytest.mark.parametrize(("machine", "vendor"), MACHINES)

# (reason, key or none, address or none, CPL 3): exits
Causes = Counter[tuple[int, int | None, int | None, bool]]


@pytest.fixture(name="run")
def one_run(lab: Lab, machine: tuple[str, ...], vendor: str) -> Run:
    """One run of the known guest."""
    del vendor
    if not (program := lab.top / "known").exists():
        program = guest.build_c(REPO / "tests/lab/known.c", lab.top)
    run = lab.run(*machine, "--add", f"{program}:lab/known", "--timeout", 400,
                  l1=(REPO / "tests/lab/known.sh").read_text())
    assert run.status == 0, run.l1[-3000:] + run.stderr
    return run


def of_file(text: str) -> tuple[Causes, dict[str, list[int]]]:
    """The entries of debugfs' file, which have no error, and sums of exits and cycles."""
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    causes: Causes = Counter()
    for reason, _, key, rip, cpl3, l2, count, _, error in rows[:-1]:
        assert (l2, error) == ("0", "0")
        number = [None if word == "-" else int(word, 16) for word in (key, rip)]
        causes[int(reason), number[0], number[1], cpl3 == "1"] += int(count)
    assert rows[-1][0] == "rest" and len(causes) == len(rows) - 1
    exits_, cycles = ([int(row[column]) for row in rows] for column in (6, 7))
    return causes, {"exits": exits_, "cycles": cycles}


def of_leaf(said: str) -> tuple[Causes, list[int]]:
    """The entries that the guest read, and their cycles."""
    causes: Causes = Counter()
    cycles = []
    for line in re.findall(r"^entry (.*)$", said, re.M):
        ident, key, rip, count, taken, error = (int(word, 16) for word in line.split())
        flags = ident >> 32
        assert error == 0
        causes[ident & 0xFFFFFFFF, key if flags & HAS_KEY else None,
               rip if flags & HAS_RIP else None, bool(flags & CPL3)] += count
        cycles.append(taken)
    return causes, cycles


def known(said: str, vendor: str) -> Causes:
    """What the guest did, by the manuals."""
    at = {name: int(address, 16) for name, address in re.findall(r"^at (\S+) (\S+)$", said, re.M)}
    reason = VMX if vendor == "vmx" else SVM
    out, into = 0x10080, 1 << 24 | 0x10071
    write = 1 << 32 if vendor == "svm" else 0
    found: Causes = Counter({
        (reason["wrmsr"], 0x79 | write, at["wrmsr"], False): ROUNDS,
        (reason["rdmsr"], 0x8B, at["rdmsr"], False): ROUNDS,
        (reason["cpuid"], 7 << 32 | 0x80000000, at["cpuid"], False): ROUNDS,
        (reason["io"], out, at["out"], False): ROUNDS,
        (reason["io"], into, at["in"], False): ROUNDS,
        (reason["io"], out, at["out-again"], False): ROUNDS,
        (reason["io"], 0x10099, at["end"], False): 1,
        (reason["cpuid"], 3 << 32, at["user-cpuid"], True): ROUNDS,
        (reason["io"], out, at["user-out"], True): ROUNDS,
        (reason["io"], 0x10099, at["user-end"], True): 1,
    })
    if vendor == "vmx":
        # The first finds no page; from then on there is one that is misconfigured.
        found[reason["violation"], 0x8000 | 2, at["mmio"], False] = 1
        found[reason["mmio"], 0x8000, at["mmio"], False] = ROUNDS - 1
    else:
        found[reason["violation"], 0x8000 | 2, at["mmio"], False] = ROUNDS
    return found


def hist(run: Run, name: str, event: str, keys: str) -> Counter[tuple[int, ...]]:
    """What a trigger counted, by its keys."""
    text = run.file(f"{name}/{event}")
    assert "Dropped: 0" in text
    fields = ", ".join(rf"{key}: *(\w+)" for key in keys.split(","))
    pattern = rf"\{{ {fields} *\}} hitcount: *(\d+)"
    found: Counter[tuple[int, ...]] = Counter()
    for *values, count in re.findall(pattern, text):
        found[tuple(int(value, 0) for value in values)] += int(count)
    hits = re.search(r"^ *Hits: (\d+)$", text, re.M)
    assert hits and found.total() == int(hits[1])
    return found


def test_each_known_cause_has_its_exits(run: Run, machine: tuple[str, ...], vendor: str) -> None:
    del machine
    causes, _ = of_file(run.file("on/exit_stats_causes"))
    expected = known(run.file("on/said"), vendor)
    assert {cause: causes[cause] for cause in expected} == expected
    # What else there is, the guest did not do on purpose: it has none of these keys.
    others = causes - expected
    reasons = {reason for reason, *_ in expected}
    mapping = (VMX if vendor == "vmx" else SVM)["violation"]
    assert all(reason not in reasons or reason == mapping for reason, *_ in others), others


def test_the_triggers_counted_the_same(run: Run, machine: tuple[str, ...], vendor: str) -> None:
    del machine
    causes, _ = of_file(run.file("on/exit_stats_causes"))
    traced = hist(run, "on", "kvm_exit", "exit_reason,guest_rip")
    by_reason: Counter[int] = Counter()
    for (reason, *_), count in causes.items():
        by_reason[reason] += count
    expected: Counter[int] = Counter()
    for (reason, _), count in traced.items():
        expected[reason & 0xFFFF] += count
    assert by_reason == expected
    # The event has no address of CPL 3's segment but what lies in it.
    rows: Counter[tuple[int, ...]] = Counter()
    for (reason, _, rip, cpl3), count in causes.items():
        if rip is not None:
            rows[reason, rip - 0x800 if cpl3 else rip] += count
    assert {place: traced[place] for place in rows} == rows
    reasons = VMX if vendor == "vmx" else SVM
    ports: Counter[tuple[int, ...]] = Counter()
    leaves: Counter[tuple[int, ...]] = Counter()
    msrs: Counter[tuple[int, ...]] = Counter()
    for (number, key, *_), count in causes.items():
        if key is None:
            continue
        if number == reasons["io"]:
            ports[key & 0xFFFF, 1 - (key >> 24), key >> 16 & 0xFF] += count
        elif number == reasons["cpuid"]:
            leaves[key & 0xFFFFFFFF, key >> 32] += count
        elif number in (reasons["wrmsr"], reasons["rdmsr"]):
            written = key >> 32 if vendor == "svm" else number == reasons["wrmsr"]
            msrs[key & 0xFFFFFFFF, int(written)] += count
    assert ports == hist(run, "on", "kvm_pio", "port,rw,size")
    assert leaves == hist(run, "on", "kvm_cpuid", "function,index")
    assert msrs == hist(run, "on", "kvm_msr", "ecx,write")


def test_sums_are_the_totals(run: Run, machine: tuple[str, ...], vendor: str) -> None:
    del machine, vendor
    _, sums = of_file(run.file("on/exit_stats_causes"))
    table = views.table(run.file("on/exit_stats_raw"))
    exits.check_consistent(table)
    assert sum(sums["exits"]) == table[views.TOTAL]["exits"]
    assert sum(sums["cycles"]) == table[views.TOTAL]["cycles"]
    assert (sums["exits"][-1], sums["cycles"][-1]) == (0, 0)


@pytest.mark.parametrize("how", ["asked", "enabled"])
def test_the_guest_reads_them(run: Run, machine: tuple[str, ...], vendor: str, how: str) -> None:
    if how == "enabled" and "stock" in machine:
        assert not (run.out / "out/enabled").exists()
        return
    said = run.file(f"{how}/said")
    causes, cycles = of_leaf(said)
    expected = known(said, vendor)
    assert {cause: causes[cause] for cause in expected} == expected
    total = re.search(r"^total (\d+) (\d+)$", said, re.M)
    rest = re.search(r"^rest (\d+) (\d+)$", said, re.M)
    assert total and rest
    assert causes.total() + int(rest[1]) == int(total[1]) and int(rest[1]) == 0
    assert sum(cycles) + int(rest[2]) == int(total[2]) and int(rest[2]) == 0
    assert "undefined 0xffffffff 0xffffffff" in said
    if how == "enabled":
        assert said.splitlines()[:4] == [
            "check 3", "enable 4 Invalid argument", "enable 3 taken", "enable 3 taken"]


def test_it_is_off_by_default(run: Run, machine: tuple[str, ...], vendor: str) -> None:
    del vendor
    assert run.file("default").strip() == "N"
    path = run.out / "out/off/exit_stats_causes"
    assert (not path.exists()) if "stock" in machine else path.read_text() == ""
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", run.file("dmesg"))
