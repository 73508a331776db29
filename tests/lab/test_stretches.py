# SPDX-License-Identifier: GPL-2.0
"""Time spent in one place shows there; who may read it, and what the reading may cost."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run, build_c
from vmxlab import REPO, views

IO, HLT, EPT_VIOLATION = 30, 12, 48
SCRIPT = REPO / "tests/lab/stretches.sh"


@pytest.fixture(scope="module")
def run(lab: Lab, l3: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One machine, in which all of it happens."""
    folder = tmp_path_factory.mktemp("stretches")
    programs = [l3, *(build_c(REPO / f"tests/lab/{name}.c", folder)
                      for name in ("stretches", "limits"))]
    added = [word for program in programs for word in ("--add", f"{program}:lab/{program.name}")]
    done = lab.run("--timeout", 600, *added, l1=SCRIPT.read_text())
    assert done.status == 0, done.l1 + done.stderr
    return done


def stretch(run: Run, mode: str) -> tuple[views.Table, list[int], list[dict[str, str]]]:
    """A mode's table, how long each of its stretches was, and the vCPU during each."""
    table = views.table(run.file(f"{mode}/exit_stats_raw"))
    exits.check_consistent(table, int(run.file(f"{mode}/exits")))
    exits.check_life(table, run.file(f"{mode}/exit_stats_vcpus"))
    said = run.file(f"{mode}/said")
    seen = [exits.lives(text)[0] for text in re.findall(r"^vcpu\t.*\n\d.*\n", said, re.M)]
    return table, [int(slept) for slept in re.findall(r"^slept (\d+)$", said, re.M)], seen


def check_only(table: views.Table, reason: int, field: str, slept: int) -> None:
    """That time is in one account and in no other."""
    assert table[reason][field] >= slept
    for other, row in table.rows.items():
        for name in exits.TIMES:
            if other != views.TOTAL and (other, name) != (reason, field):
                assert row[name] < slept, (other, name)


def test_a_handler_that_sleeps_shows_as_scheduled_out(run: Run) -> None:
    table, (slept,), seen = stretch(run, "fault")
    check_only(table, EPT_VIOLATION, "away", slept)
    # It is seen to be stuck in that exit, and since when.
    assert [(vcpu["phase"], int(vcpu["reason"])) for vcpu in seen] == \
        [("handling", EPT_VIOLATION)] * 2
    assert seen[0]["since"] == seen[1]["since"] != "0"
    assert int(seen[0]["since"]) < int(seen[0]["now"]) < int(seen[1]["now"])


def test_what_the_vmm_and_the_completion_of_its_answer_take_is_userspace(run: Run) -> None:
    table, (answer, completion), seen = stretch(run, "pio")
    assert f"exit {2}\n" in run.file("pio/said")
    check_only(table, IO, "user", answer + completion)
    assert [vcpu["phase"] for vcpu in seen] == ["userspace"] * 4


def test_a_memory_fault_that_the_vmm_has_to_see_to_is_userspace(run: Run) -> None:
    table, (slept,), seen = stretch(run, "attribute")
    assert "exit 39\n" in run.file("attribute/said")
    check_only(table, EPT_VIOLATION, "user", slept)
    assert [(vcpu["phase"], int(vcpu["reason"])) for vcpu in seen] == \
        [("userspace", EPT_VIOLATION)] * 2


def test_time_after_a_signal_is_no_exits(run: Run) -> None:
    table, (slept, *more), seen = stretch(run, "signal")
    assert "signals 1\n" in run.file("signal/said") and not more
    check_only(table, views.BEYOND, "user", slept)
    assert table[views.BEYOND]["exits"] == 0
    assert {vcpu["phase"] for vcpu in seen} == {"userspace"}


@pytest.mark.parametrize(("guest", "check", "served"), [
    ("off", 0, [False] * 4), ("vmm", 1, [False, False, True, True]),
    ("vm", 1, [True, False, True, True]), ("key-off", 0, [False] * 4)])
def test_the_vmm_decides_as_far_as_the_host_lets_it(
    run: Run, guest: str, check: int, served: list[bool]
) -> None:
    said = run.file(f"capability.{guest}")
    assert said.splitlines()[0] == f"check 0 {check}"
    answers = re.findall(r"^(not served|served [0-9a-f]+)$", said, re.M)
    assert [answer != "not served" for answer in answers] == served
    taken = re.findall(r"^enable (\d) (.*)$", said, re.M)
    invalid = "Invalid argument"
    assert taken == [("0", "taken"), ("1", "taken"), ("2", invalid)] if check else \
        [(value, invalid) for value in "012"]
    # The counters are one set, whether they are served or not.
    assert len({answer for answer in answers if answer != "not served"}) <= 1


def test_a_vmm_at_its_memory_limit_lives_and_the_guest_is_told(run: Run) -> None:
    said = dict(line.split(" ", 1) for line in run.file("memory").splitlines())
    assert said["status"] == "0" and said["oom_kill"] == "0", said
    assert 0 <= int(said["taken"]) < int(said["vcpus"]), said
    assert int(said["max"]) > 0, "the limit was never met"


def test_sixteen_read_while_vms_come_and_go(run: Run) -> None:
    reads = re.findall(r"^ *(\d+) /run/reads\.\d+$", run.file("reads"), re.M)
    assert len(reads) == 16 and all(int(count) >= 10 for count in reads), reads
    exits.check_consistent(views.table(run.file("table")))
    assert not re.search(r"^\d+-\d+$", run.file("left"), re.M)
    assert not re.search(r"WARNING:|BUG:|Oops|Call Trace", run.file("dmesg")), run.file("dmesg")


def test_all_memory_is_given_back(run: Run) -> None:
    lost = re.findall(r"^(?:overrun|dropped events): (\d+)$", run.file("trace-stats"), re.M)
    assert set(lost) == {"0"}, run.file("trace-stats")
    there: dict[str, str] = {}
    allocated = 0
    for line in run.file("memory-trace").splitlines():
        what, site, pointer = re.findall(r"^(\w+) call_site=(\S+).* ptr=(\S+)", line)[0]
        if not pointer.strip("0") or pointer == "(null)":
            continue
        if what == "kmalloc":
            assert pointer not in there, line
            there[pointer] = site
            allocated += 1
        else:
            there.pop(pointer, None)
    # Of each VM its vCPU's set, and what its two resets and the readers' tables took.
    vms = int(run.file("vms"))
    assert vms >= 4 and allocated > vms * 3 and not there, there
