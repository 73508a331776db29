# SPDX-License-Identifier: GPL-2.0
"""docs/course.md: its commands do what it says, and print what it shows."""

import re
import subprocess
from pathlib import Path

import pytest

from conftest import Lab, Run, build_c
from exits import check_shown
from vmxlab import REPO

COURSE = REPO / "docs/course"
GUIDE = (REPO / "docs/course.md").read_text(encoding="utf-8")


def run_script(lab: Lab, vmxscope: Path, name: str, *options: object) -> Run:
    """A script of the course in the nested guest."""
    return lab.run("--add-guest", vmxscope, *options, l2=(COURSE / name).read_text())


# What differs from run to run: registers of each selector that has exits or cycles.
VARYING = {
    "0x4fffffff 0x00": ("eax", "ecx"), "0x4ffffffe 0x00": ("ecx",),
    "0x4ffffffd 0x0c": ("eax",), "0x4ffffffc 0x0c": ("ecx",),
}


def steady(line: str) -> str:
    """A line of registers without what differs from run to run."""
    selector = line.strip().partition(":")[0]
    for register in VARYING.get(selector, ()):
        line = re.sub(rf"{register}=0x\w+", f"{register}=N", line)
    return line.strip()


def shown(heading: str) -> list[str]:
    """The lines of the output blocks of a section."""
    section = GUIDE.split(f"\n## {heading}")[1].split("\n## ")[0]
    return [line for block in re.findall(r"^```text\n(.*?)^```$", section, re.M | re.S)
            for line in block.splitlines()]


def test_assignment_1_logs_what_the_guide_shows(lab: Lab, vmxscope: Path) -> None:
    run = lab.run(l1=(COURSE / "assignment1.sh").read_text())
    assert run.status == 0, run.l1
    log = run.file("vmx_caps.log").splitlines()
    lines = shown("Assignment 1")
    assert len(lines) >= 5
    for line in lines:
        assert line in log, line
    done = subprocess.run([vmxscope, "caps", "--from", run.out / "out/vmx_caps.log"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "External-interrupt exiting" in done.stdout


def check_leaves(run: Run) -> None:
    """What assignment 2 asks of the leaves."""
    rows = re.findall(r"eax=(0x\w+) ebx=(0x\w+) ecx=(0x\w+) edx=(0x\w+)$", run.l2, re.M)
    rows = [tuple(int(word, 16) for word in row) for row in rows]
    assert len(rows) == 11, run.l2
    everything, cycles, *reasons, halts = rows
    assert everything[0] > 1000 and cycles[2] > 0
    assert reasons[2] == reasons[3] == (0, 0, 0, 0), "INIT is not enabled"
    assert reasons[4:8] == [(0, 0, 0, 0xFFFFFFFF)] * 4, "undefined reasons"
    assert halts[0] > reasons[0][0], "the sleep has halted the CPU"


def test_assignments_2_and_3_read_what_the_guide_shows(lab: Lab, vmxscope: Path) -> None:
    run = run_script(lab, vmxscope, "assignment2.sh")
    assert run.status == 0, run.l1 + run.l2
    check_leaves(run)
    # The guide's lines of registers and their headings, in their order.
    said = [steady(line) for line in run.l2.splitlines()]
    lines = [line for line in shown("Assignments 2 and 3") if "0x4f" in line or ":" in line[-1:]]
    assert len(lines) >= 25
    begin = said.index(steady(lines[0]))
    assert said[begin:begin + len(lines)] == [steady(line) for line in lines]
    check_shown("\n".join(shown("Assignments 2 and 3")), run.l2)


@pytest.mark.matrix
def test_a_guest_by_shadow_paging_reads_them_too(lab: Lab, vmxscope: Path) -> None:
    run = run_script(lab, vmxscope, "assignment2.sh", "--kvm-intel", "ept=0")
    assert run.status == 0, run.l1 + run.l2
    check_leaves(run)
    assert "EPT violation" not in run.l2


def check(lab: Lab, reader: Path) -> Run:
    """The check for teachers, of a reader under the default layout."""
    return lab.run("--add-guest", f"{reader}:lab/reader", l1=(COURSE / "check.sh").read_text(),
                   l2=(COURSE / "check-l2.sh").read_text())


@pytest.mark.matrix
def test_the_check_for_teachers_passes_a_right_reader_only(lab: Lab, tmp_path: Path) -> None:
    right = check(lab, build_c(COURSE / "spring22.c", tmp_path))
    assert right.status == 0, right.l1
    assert re.search(r"^\d+ reasons, 0 wrong$", right.l1, re.M), right.l1
    assert re.search(r"^reason 48: .* ok$", right.l1, re.M)
    *rows, last = shown("For teachers")
    assert last in right.l1.splitlines(), right.l1
    number = re.compile(r"^reason +(\d+): +\d{3,} .* ok$", re.M)
    assert set(number.findall("\n".join(rows))) <= set(number.findall(right.l1)), right.l1
    wrong = check(lab, build_c(COURSE / "fall22.c", tmp_path))
    assert wrong.status == 1 and "WRONG" in wrong.l1, wrong.l1
