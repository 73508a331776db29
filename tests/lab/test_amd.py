# SPDX-License-Identifier: GPL-2.0
"""An AMD host: exits are counted there by SVM's exit codes, exactly."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, views

ROUNDS = 100
# Exit codes of SVM (APM vol. 2, appendix C).
CPUID, HLT, IOIO, NPF = 0x72, 0x78, 0x7B, 0x400
RUN_IO, RUN_HLT = 2, 5
GUESTS = ("cpuid", "cpuid-amd", "cpuid-intel")

# (kernel, model): with nested page tables, and without. Guests are l3.c's: no
# SVM model of Bochs 2.7 gets a nested Linux far enough, whatever the kernel.
MACHINES = [
    pytest.param("6.12", "trinity_apu"),
    pytest.param("6.12", "turion64_tyler", marks=pytest.mark.matrix),
    pytest.param("6.12", "zambezi", marks=pytest.mark.matrix),
    pytest.param("7.3", "trinity_apu", marks=pytest.mark.matrix),
]
# As the APM calls them.
NAMES = {CPUID: ("CPUID", "CPUID"), HLT: ("HLT", "HLT"), NPF: ("NPF", "Nested page fault"),
         IOIO: ("IOIO", "I/O to an intercepted port")}
pytestmark = pytest.mark.parametrize(("series", "model"), MACHINES)


@pytest.fixture(scope="module")
def programs(l3: Path, vmxscope: Path) -> tuple[Path, Path]:
    """What is put into the machine."""
    return l3, vmxscope


def run_guests(lab: Lab, programs: tuple[Path, Path], series: str, model: str,
               *options: str) -> Run:
    """Run the small guests on an AMD model."""
    l3, vmxscope = programs
    run = lab.run("--kernel", series, "--cpu", model, "--add", f"{l3}:lab/l3",
                  "--add", f"{vmxscope}:lab/vmxscope", "--timeout", 300, *options,
                  l1=(REPO / "tests/lab/amd.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


def answers(run: Run, guest: str) -> list[str]:
    """What CPUID answered in a guest, a line a question."""
    lines = [line for line in run.file(f"{guest}/said").splitlines() if line.startswith("0x")]
    assert len(lines) == ROUNDS * 100, lines[:3]
    return lines


def test_kvm_amd_runs_guests_and_traces_their_exits(
    lab: Lab, programs: tuple[Path, Path], series: str, model: str
) -> None:
    for options in ([], ["--stock"]):
        run = run_guests(lab, programs, series, model, *options)
        assert "kvm_amd" in run.file("modules")
        said = run.file("work/said").splitlines()
        assert said[:2] == [f"{RUN_IO} 0x80 {ROUNDS}", f"{RUN_HLT} 0 1"]
        traced = exits.histogram(run.file("work/hist"))
        assert (traced[CPUID], traced[IOIO], traced[HLT]) == (ROUNDS, ROUNDS, 1)
        assert (NPF in traced) == (model != "turion64_tyler")
        assert sum(traced.values()) == int(run.file("work/exits"))


def test_each_exit_is_counted_by_its_code_and_all_time_is_accounted_for(
    lab: Lab, programs: tuple[Path, Path], series: str, model: str
) -> None:
    run = run_guests(lab, programs, series, model)
    table = views.table(run.file("work/exit_stats_raw"))
    traced = exits.histogram(run.file("work/hist"))
    counted = {reason: row["exits"] for reason, row in table.rows.items() if row["exits"]}
    assert counted.pop(views.TOTAL) == int(run.file("work/exits"))
    assert counted == traced
    exits.check_consistent(table, int(run.file("work/exits")))
    exits.check_life(table, run.file("work/exit_stats_vcpus"))
    assert f" {CPUID}:{ROUNDS} " in run.file("work/said"), "the binary statistics"


def test_the_program_shows_them_by_the_apms_names(
    lab: Lab, programs: tuple[Path, Path], series: str, model: str
) -> None:
    run = run_guests(lab, programs, series, model)
    table = views.table(run.file("work/exit_stats_raw"))
    view = views.view(run.file("work/json"))
    assert view["vendor"] == "svm"
    assert views.counts(view) == table.exits()
    named = {row["reason"]: (row["symbol"], row["name"]) for row in view["reasons"]}
    for reason, (symbol, name) in NAMES.items():
        assert named[reason] == (symbol, name)
        if reason in table.exits():
            count = table[reason]["exits"]
            assert re.search(rf"^ *{reason}  {name} +{count} ", run.file("work/table"), re.M)


def test_its_guests_are_served_the_leaves(
    lab: Lab, programs: tuple[Path, Path], series: str, model: str
) -> None:
    run = run_guests(lab, programs, series, model)
    for guest in GUESTS:
        found = [line for line in answers(run, guest) if line.startswith("0x4ffffffb 0x0: ")]
        assert found, guest
        # Version 1, histograms, AMD's exit codes.
        assert all(line.split()[2] == "0x120001" for line in found), found[0]


def test_the_log_is_that_of_an_unpatched_kernel(
    lab: Lab, programs: tuple[Path, Path], series: str, model: str
) -> None:
    ours = run_guests(lab, programs, series, model)
    stock = run_guests(lab, programs, series, model, "--stock")
    # Modules that were built apart from the kernel taint it, and it says so.
    ours_said = ours.file("dmesg").replace("kvm: loading out-of-tree module taints kernel.\n", "")
    assert ours_said == stock.file("dmesg")
