# SPDX-License-Identifier: GPL-2.0
"""The lab itself: statuses, consoles, files, failures, guests of each kind."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from conftest import REPO, Lab

# What a nested guest reports of itself, to be compared with what was asked for.
L2 = """\
echo "cpus $(grep -c ^processor /proc/cpuinfo)"
grep -q hypervisor /proc/cpuinfo && echo "under a hypervisor"
cat /lab/added 2>/dev/null
exit 7
"""
# L1 keeps the status of the guest, and ends with one of its own.
L1 = """\
guest
echo "guest status $?" | tee /out/status
cat /sys/module/kvm_intel/parameters/ept >/out/ept
nproc >/out/cpus
exit 5
"""


@pytest.mark.parametrize(("cpus", "vcpus"), [(1, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("ept", ["1", "0"])
def test_a_guest_of_each_kind_runs_its_script_and_both_statuses_come_back(
    lab: Lab, tmp_path: Path, cpus: int, vcpus: int, ept: str
) -> None:
    (tmp_path / "added").write_text("added file\n")
    run = lab.run("--kvm-intel", f"ept={ept}", "--guest-cpus", vcpus, "--cpus", cpus,
                  "--add-guest", tmp_path / "added", l1=L1, l2=L2)
    assert run.status == 5, run.l1 + run.stderr
    assert run.file("status") == "guest status 7\n"
    assert run.file("ept").strip() == ("Y" if ept == "1" else "N")
    assert run.file("cpus").strip() == str(cpus)
    assert f"cpus {vcpus}\nunder a hypervisor\nadded file\n" in run.l2
    assert "guest status 7" in run.l1 and "under a hypervisor" not in run.l1


def test_without_an_l1_script_the_guests_status_is_the_labs(lab: Lab) -> None:
    run = lab.run(l2="echo only l2; exit 3\n")
    assert run.status == 3, run.l1 + run.stderr
    assert "only l2" in run.l2


def test_a_file_can_be_put_anywhere_and_kernel_arguments_reach_the_kernel(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("some data")
    run = lab.run("--add", f"{tmp_path}/data:/etc/deep/data", "--append", "vmxscope.test=1",
                  l1="cat /etc/deep/data; cat /proc/cmdline; exit 0\n")
    assert run.status == 0
    assert "some data" in run.l1 and "vmxscope.test=1" in run.l1


def test_a_machine_that_ends_before_its_script_is_a_failure_of_the_lab(lab: Lab) -> None:
    run = lab.run(l1="reboot -f\n")
    assert run.status == 69
    assert "ended before its script did" in run.stderr


def test_a_script_that_takes_too_long_is_a_failure_of_the_lab(lab: Lab) -> None:
    run = lab.run("--timeout", 15, l1="echo waiting; sleep 10000\n")
    assert run.status == 69
    assert "the time limit of 15 s passed" in run.stderr
    assert "waiting" in run.l1


def test_a_machine_that_runs_for_minutes_does_not_stand_still(lab: Lab) -> None:
    # Bochs draws a blinking cursor; it once waited for somebody to look at it.
    run = lab.run("--stock", "--timeout", 200, l1="sleep 150; echo awake\n")
    assert run.status == 0 and "awake" in run.l1, run.stderr


def test_a_guest_that_dies_is_a_failure_of_the_lab_and_not_a_result(lab: Lab) -> None:
    run = lab.run(l1="guest; echo guest said $?\n", l2="reboot -f\n")
    assert "guest said 69" in run.l1


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["--cpu", "z80", "--l1", "/dev/null"], 64, "not a file"),
        (["--cpu", "z80", "--l1", "/etc/passwd"], 69, "no CPU model 'z80'"),
        ([], 64, "nothing to run"),
        (["--cpus", "0", "--l1", "/etc/passwd"], 64, "--cpus takes a number of at least 1"),
        (["--kernel", "2.4", "--l1", "/etc/passwd"], 69, "there is no base 'debian-2.4'"),
        (["--base", "z", "--l1", "/etc/passwd"], 69, "There are: small-6.12"),
        (["--base", "small-6.12", "--kernel", "7.3", "--l1", "/etc/passwd"], 64,
         "leave out --kernel"),
        (["--stock", "--kvm-modules", "patched", "--l1", "/etc/passwd"], 64, "exclude each other"),
        (["--accel", "kvm", "--l1", "/etc/passwd"], 69, "--accel kvm does not work here"),
        (["--add", "/no/such/file", "--l1", "/etc/passwd"], 69, "/no/such/file does not exist"),
    ],
)
def test_wrong_usage_and_what_cannot_be_had_are_told_apart(
    args: list[str], status: int, message: str
) -> None:
    if "--accel" in args and "vmx" in Path("/proc/cpuinfo").read_text():
        pytest.skip("this machine may have nested VT-x")
    done = subprocess.run([REPO / "scripts/lab", *args], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr


def test_the_shell_takes_commands_from_a_terminal_and_gives_it_back() -> None:
    start = time.monotonic()
    command = f"{REPO}/scripts/lab --shell --timeout 120"
    typed = "echo $((6*7))-typed; sleep 1; exit 4\n"
    with subprocess.Popen(
        ["script", "-qec", command, "/dev/null"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdin
        seen = b""
        while b"~ # " not in seen and time.monotonic() - start < 120:
            seen += os.read(process.stdout.fileno(), 1 << 16)
        process.stdin.write(typed.encode())
        process.stdin.flush()
        seen += process.stdout.read()
    assert b"42-typed" in seen, seen[-2000:]
    assert process.returncode == 4, seen[-2000:]


def test_help_has_every_option_of_the_design_and_examples() -> None:
    text = subprocess.run([REPO / "scripts/lab", "--help"], capture_output=True, text=True,
                          check=True).stdout
    for option in ("base", "kvm-modules", "kernel", "stock", "cpu", "cpus", "guest-cpus",
                   "kvm-intel", "append", "add", "add-guest", "l1", "l2", "timeout", "out"):
        assert re.search(rf"--{option}\b", text), option
    assert "examples:" in text and "69" in text


def test_what_a_guest_prints_at_once_reaches_the_terminal_whole_and_in_order(
    lab: Lab, tmp_path: Path
) -> None:
    # 2 MB of lines and bytes that no text has, right before the guest's end.
    count = 300_000
    expected = b"".join(b"%d\n" % number for number in range(1, count + 1))
    expected += b"a\0\x02b\r\n\xff\nend"
    for name, text in {
        "l1": "guest; echo kept >/out/file; exit 0\n",
        "l2": f"{{ seq {count}; printf 'a\\000\\002b\\r\\n\\377\\nend'; }} >/tmp/all\n"
              "cat /tmp/all; exit 0\n",
    }.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [REPO / "scripts/lab", "--l1", tmp_path / "l1", "--l2", tmp_path / "l2",
         "--out", tmp_path / "out"],
        capture_output=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/l2.console").read_bytes() == expected
    shown = [line[5:] for line in done.stdout.split(b"\n") if line.startswith(b"[l2] ")]
    assert b"\n".join(shown) == expected
    assert (tmp_path / "out/out/file").read_text() == "kept\n"


def test_a_qemu_that_does_not_start_is_a_failure_of_the_lab_and_no_wait(lab: Lab) -> None:
    run = lab.run("--timeout", 100, l1="guest -- -no-such-option; echo guest said $?\n",
                  l2="exit 0\n")
    assert "guest said 69" in run.l1, run.stderr
