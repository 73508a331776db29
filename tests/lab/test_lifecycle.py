# SPDX-License-Identifier: GPL-2.0
"""VMs that run at once, are reset, move between CPUs, or see the accounting switched."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run
from vmxlab import REPO, views

SCRIPTS = REPO / "tests/lab/lifecycle"


@pytest.fixture
def live(lab: Lab, vmxscope: Path, request: pytest.FixtureRequest) -> Run:
    """A run of the script that the test names."""
    script, cpus = request.param
    done = lab.run("--cpus", cpus, "--timeout", 600, "--add-guest", f"{vmxscope}:lab/vmxscope",
                   l1=(SCRIPTS / "begin.sh").read_text() + (SCRIPTS / f"{script}.sh").read_text(),
                   l2=(SCRIPTS / "l2.sh").read_text())
    assert done.status == 0, done.l1 + done.stderr
    assert not re.search(r"exit_stats|WARNING:|BUG:|Oops|Call Trace", done.file("dmesg"))
    return done


def vms(run: Run, when: str = "end") -> list[views.Table]:
    """Each VM's table, in which the sums and the times hold."""
    found = []
    for folder in sorted(run.out.glob(f"out/{when}/*-*")):
        table = views.table((folder / "exit_stats_raw").read_text())
        exits.check_consistent(table, int((folder / "exits").read_text()))
        exits.check_life(table, (folder / "exit_stats_vcpus").read_text())
        found.append(table)
    return found


def check_trace(run: Run, when: str = "end") -> None:
    """The host's table is the sum of the VMs', and it is what was traced."""
    host = views.table(run.file(f"{when}/host"))
    assert host.exits() == exits.histogram(run.file(f"{when}/hist"))
    for field in ("exits", "l2", "dropped", *exits.TIMES):
        for reason, row in host.rows.items():
            assert row[field] == sum(vm[reason][field] for vm in vms(run, when)), (reason, field)
    exits.check_consistent(host)


# On two emulated CPUs it takes more than four minutes.
MOVED = [pytest.param(("moved", 2), marks=pytest.mark.matrix)]


@pytest.mark.parametrize("live", [("two", 1)], indirect=True, ids=["two"])
def test_of_two_vms_at_once_each_sees_its_own_and_the_host_both(live: Run) -> None:
    assert len(vms(live)) == 2
    check_trace(live)
    said = [views.view(live.file(name)) for name in ("a", "b")]
    assert said[0]["instance"] != said[1]["instance"]
    # Of which is which, the number of their exits tells.
    ends = sorted(vm[views.TOTAL]["exits"] for vm in vms(live))
    for total, end in zip(sorted(view["total"]["exits"] for view in said), ends, strict=True):
        assert 1000 < total <= end


@pytest.mark.parametrize("live", [("reset", 1)], indirect=True, ids=["reset"])
def test_a_reset_of_the_guest_keeps_its_counts(live: Run) -> None:
    (first,), (second,) = vms(live, "first"), vms(live)
    assert all(second[reason]["exits"] >= row["exits"] for reason, row in first.rows.items())
    # A boot asks for its CPUID again, on top of what was counted. (Its memory is mapped
    # already, so of the EPT violations few come again.)
    assert second[10]["exits"] > first[10]["exits"] * 3 // 2
    check_trace(live, "first")
    check_trace(live)
    said = [views.view(text) for text in live.file("r").split("== exits\n")[1:]]
    assert len(said) == 2 and said[0]["instance"] == said[1]["instance"]
    assert said[1]["total"]["exits"] > said[0]["total"]["exits"]


@pytest.mark.parametrize("live", MOVED, indirect=True, ids=["moved"])
def test_vcpus_that_move_between_cpus_lose_no_exit_and_no_time(live: Run) -> None:
    assert live.file("moves").count("moved") > 10
    check_trace(live)


@pytest.mark.parametrize("live", MOVED, indirect=True, ids=["moved"])
def test_the_rules_hold_while_another_vcpu_exits(live: Run) -> None:
    said = live.file("m")
    assert re.findall(r"^check (\d+)$", said, re.M) == ["0"] * 50, said


@pytest.mark.parametrize("live", [("switched", 1)], indirect=True, ids=["switched"])
def test_switching_the_accounting_is_for_vms_that_are_made_from_then_on(live: Run) -> None:
    assert live.file("toggles").count("toggled") > 5
    check_trace(live)
