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
    done = lab.run("--cpus", cpus, "--timeout", 400, "--add-guest", f"{vmxscope}:lab/vmxscope",
                   l1=(SCRIPTS / "begin.sh").read_text() + (SCRIPTS / f"{script}.sh").read_text(),
                   l2=(SCRIPTS / "l2.sh").read_text())
    assert done.status == 0, done.l1 + done.stderr
    assert not re.search(r"exit_stats|WARNING:|BUG:|Oops|Call Trace", done.file("dmesg"))
    return done


def grown(run: Run) -> dict[int, int]:
    """By how much the host's table grew meanwhile, by reason."""
    before, after = (views.table(run.file(when)) for when in ("before", "after"))
    return {reason: more for reason, row in after.rows.items()
            if reason < views.BEYOND and (more := row["exits"] - before[reason]["exits"])}


@pytest.mark.parametrize("live", [("two", 1)], indirect=True, ids=["two"])
def test_of_two_vms_at_once_each_sees_its_own_and_the_host_both(live: Run) -> None:
    traced = exits.histogram(live.file("hist"))
    assert grown(live) == traced
    a, b = (views.view(live.file(name))["total"]["exits"] for name in ("a", "b"))
    assert min(a, b) > 1000 and a + b <= sum(traced.values())
    exits.check_consistent(views.table(live.file("after")))


@pytest.mark.parametrize("live", [("reset", 1)], indirect=True, ids=["reset"])
def test_a_reset_of_the_guest_keeps_its_counts(live: Run) -> None:
    first, second = (views.table(live.file(when)) for when in ("first", "second"))
    assert all(second[reason]["exits"] >= row["exits"] for reason, row in first.rows.items())
    # A boot asks for its CPUID again, on top of what was counted. (Its memory is mapped
    # already, so of the EPT violations few come again.)
    assert second[10]["exits"] > first[10]["exits"] * 3 // 2
    assert grown(live) == exits.histogram(live.file("hist"))
    said = live.file("r").split("ready\n")[1:]
    assert len(said) == 2
    assert views.view(said[1])["total"]["exits"] > views.view(said[0])["total"]["exits"]


@pytest.mark.parametrize("live", [("moved", 2)], indirect=True, ids=["moved"])
def test_vcpus_that_move_between_cpus_lose_no_exit_and_no_time(live: Run) -> None:
    assert live.file("moves").count("moved") > 10
    assert grown(live) == exits.histogram(live.file("hist"))
    exits.check_consistent(views.table(live.file("after")))


@pytest.mark.parametrize("live", [("switched", 1)], indirect=True, ids=["switched"])
def test_switching_the_accounting_on_and_off_gives_no_wrong_figure(live: Run) -> None:
    assert live.file("toggles").count("toggled") > 5
    traced, counted = exits.histogram(live.file("hist")), grown(live)
    assert 0 < sum(counted.values()) < sum(traced.values())
    assert all(count <= traced[reason] for reason, count in counted.items())
    after = views.table(live.file("after"))
    for field in ("exits", "cycles", "blocked", "user", "l2", "dropped"):
        total = sum(row[field] for reason, row in after.rows.items() if reason <= views.BEYOND)
        assert total == after[views.TOTAL][field], field
    for reason, row in after.rows.items():
        timed = sum(after.buckets[reason].values())
        assert timed <= row["exits"], reason
        # No time spans a switch: it would be as long as the pauses between them.
        assert reason >= views.BEYOND or row["max"] < 50_000_000, (reason, row)
