# SPDX-License-Identifier: GPL-2.0
"""VMs that run at once, are reset, move between CPUs, or see the accounting switched."""

import re
from pathlib import Path

import pytest

import exits
from conftest import REPO, Lab, Run

pytestmark = pytest.mark.matrix


@pytest.fixture(scope="module")
def run(lab: Lab, vmxscope: Path) -> Run:
    """All of it, in one machine with two CPUs."""
    done = lab.run("--cpus", 2, "--timeout", 300, "--add-guest", f"{vmxscope}:lab/vmxscope",
                   l1=(REPO / "tests/lab/lifecycle.sh").read_text(),
                   l2=(REPO / "tests/lab/lifecycle-l2.sh").read_text())
    assert done.status == 0, done.l1 + done.stderr
    return done


def grown(run: Run, name: str) -> dict[int, int]:
    """By how much the host's table grew meanwhile, by reason."""
    before, after = (exits.table(run.file(f"{name}.{when}")) for when in ("before", "after"))
    return {reason: more for reason, row in after.rows.items()
            if reason < exits.BEYOND and (more := row["exits"] - before[reason]["exits"])}


def test_of_two_vms_at_once_each_sees_its_own_and_the_host_both(run: Run) -> None:
    traced = exits.histogram(run.file("two.hist"))
    assert grown(run, "two") == traced
    a, b = (exits.guest_json(run.file(name))["total"]["exits"] for name in ("a", "b"))
    assert min(a, b) > 1000 and a + b <= sum(traced.values())
    exits.check_consistent(exits.table(run.file("two.after")))


def test_a_reset_of_the_guest_keeps_its_counts(run: Run) -> None:
    first, second = (exits.table(run.file(f"reset.{when}")) for when in ("first", "second"))
    assert all(second[reason]["exits"] >= row["exits"] for reason, row in first.rows.items())
    boot = first[exits.TOTAL]["exits"]
    # The second boot takes about as many exits as the first one, on top.
    assert second[exits.TOTAL]["exits"] - boot > boot // 4
    assert grown(run, "reset") == exits.histogram(run.file("reset.hist"))
    said = run.file("r").split("ready\n")[1:]
    assert len(said) == 2
    assert exits.guest_json(said[1])["total"]["exits"] > exits.guest_json(said[0])["total"]["exits"]


def test_vcpus_that_move_between_cpus_lose_no_exit_and_no_time(run: Run) -> None:
    assert run.file("moves").count("moved") > 10
    assert grown(run, "moved") == exits.histogram(run.file("moved.hist"))
    exits.check_consistent(exits.table(run.file("moved.after")))


def test_switching_the_accounting_on_and_off_gives_no_wrong_figure(run: Run) -> None:
    assert run.file("toggles").count("toggled") > 5
    traced, counted = exits.histogram(run.file("toggled.hist")), grown(run, "toggled")
    assert 0 < sum(counted.values()) < sum(traced.values())
    assert all(count <= traced[reason] for reason, count in counted.items())
    after = exits.table(run.file("toggled.after"))
    for field in ("exits", "cycles", "blocked", "user", "l2", "dropped"):
        total = sum(row[field] for reason, row in after.rows.items() if reason <= exits.BEYOND)
        assert total == after[exits.TOTAL][field], field
    for reason, row in after.rows.items():
        timed = sum(after.buckets[reason].values())
        assert timed <= row["exits"], reason
        # No time spans a switch: it would be as long as the pauses between them.
        assert reason >= exits.BEYOND or row["max"] < 50_000_000, (reason, row)


def test_none_of_it_left_a_line_in_the_hosts_log(run: Run) -> None:
    assert not re.search(r"exit_stats|WARNING:|BUG:|Oops|Call Trace", run.file("dmesg"))
