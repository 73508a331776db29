# SPDX-License-Identifier: GPL-2.0
"""Causes by ftrace on an unmodified kernel: exact, and nothing is left behind."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO

ROUNDS = 1000
# Numbers of the SDM, volume 3, appendix C, and of the APM, volume 2, appendix C.
CODES = {"vmx": {"CPUID": 10, "HLT": 12, "IO": 30}, "svm": {"CPUID": 0x72, "HLT": 0x78, "IO": 0x7B}}
MACHINES = [
    pytest.param("haswell", "vmx", id="intel"),
    pytest.param("trinity_apu", "svm", id="amd"),
]
# Debian's kernel as it is, and the small one, which boots sooner.
BASES = {"haswell": "debian-6.12", "trinity_apu": "small-6.12"}
pytestmark = pytest.mark.parametrize(("model", "vendor"), MACHINES)


@pytest.fixture(name="run")
def one_run(lab: Lab, l3: Path, vmxscope: Path, model: str) -> Run:
    """One run on an unmodified kernel."""
    run = lab.run("--base", BASES[model], "--kvm-modules", "stock", "--cpu", model,
                  "--add", vmxscope, "--add", f"{l3}:lab/l3", "--timeout", 500,
                  l1=(REPO / "tests/lab/causes.sh").read_text())
    assert run.status == 0, run.l1[-3000:] + run.stderr
    return run


def saved(run: Run, name: str) -> Any:
    """What the program saved; what the guest itself printed goes before it."""
    text = run.file(name)
    return json.loads(text[text.index("{\n"):])


def by_reason(causes: Any) -> dict[int, int]:
    """Exits by reason, as the program tells them."""
    return {row["reason"]: row["exits"] for row in causes["reasons"]}


def test_the_exits_by_reason_are_those_that_were_counted_independently(
    run: Run, vendor: str
) -> None:
    code = CODES[vendor]
    for name, rounds in (("causes", ROUNDS), ("exits", ROUNDS // 2)):
        causes = saved(run, f"{name}.json")
        assert causes["vendor"] == vendor and causes["dropped"] == {}
        counted = by_reason(causes)
        assert counted == exits.histogram(run.file(f"{name}-hist"))
        assert causes["exits"] == sum(counted.values())
        assert (counted[code["CPUID"]], counted[code["IO"]], counted[code["HLT"]]) == (
            rounds, rounds, 1)
    assert "Ctrl-C" in run.file("exits-said")


def test_each_cause_has_the_exits_that_the_guest_made(run: Run, vendor: str) -> None:
    causes = saved(run, "causes.json")
    found = {(row["kind"], int(row["key"], 16)): row["exits"] for row in causes["causes"]}
    # OUT of a byte to port 0x80; leaf 0, though ECX has another value each time.
    assert found["port-out", 0x10080] == ROUNDS
    assert {key: n for (kind, key), n in found.items() if kind == "cpuid"} == {0: ROUNDS}
    code = CODES[vendor]
    places: dict[int, dict[int, int]] = {}
    for row in causes["places"]:
        places.setdefault(row["reason"], {})[int(row["rip"], 16)] = row["exits"]
    assert {reason: sum(rows.values()) for reason, rows in places.items()} == by_reason(causes)
    # The instructions of l3.c's guest, of which OUT follows CPUID.
    [(at, times)] = places[code["CPUID"]].items()
    assert times == ROUNDS and places[code["IO"]] == {at + 2: ROUNDS}


def test_the_result_is_told_with_names_and_advice(run: Run, vendor: str) -> None:
    table = run.file("table")
    assert re.search(rf"^ *{ROUNDS:,} .*OUT +0x80, 1 byte +POST code", table, re.M), table
    assert re.search(r"^port 0x80, [\d,]+/s: .*; boot it with io_delay=none", table, re.M), table
    symbols = {"vmx": "IO_INSTRUCTION", "svm": "IOIO"}
    folded = [line.rsplit(" ", 1) for line in run.file("places").splitlines()]
    assert sum(int(n) for _, n in folded) == saved(run, "causes.json")["exits"]
    assert any(stack.startswith(f"{symbols[vendor]};0x") for stack, _ in folded)


def test_nothing_is_left_behind_even_after_a_kill(run: Run, vendor: str) -> None:
    del vendor
    killed, alive = run.file("names").split()
    for name in ("after-command", "after-int", "at-the-end"):
        assert run.file(name) == "", name
    assert run.file("after-kill").split() == [killed]
    assert run.file("next-run").split() == [alive]
    assert run.file("beside").split() == [alive]
    assert saved(run, "alive.json")["exits"] == 0
    said = run.file("no-kvm")
    assert "KVM is not loaded" in said and said.endswith("\n3\n")
