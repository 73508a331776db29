# SPDX-License-Identifier: GPL-2.0
"""vmx_caps in the lab: its log against an independent reader, model by model."""

import re
from pathlib import Path

import pytest

import exits
from conftest import Lab, Run

MODELS = ("penryn", "lynnfield", "arrandale", "sandybridge", "ivybridge", "haswell", "broadwell",
          "tigerlake")
# (base, model, CPUs): every model, and one machine with two CPUs. Debian's kernels have
# a file of their own.
MACHINES = [("small-6.12", model, 1) for model in MODELS]
MACHINES += [("small-6.12", "broadwell", 2)]

# busybox's shell would take its own insmod, which tries twice if it is refused.
TRY = """\
try() { # MODULE FOLDER: load and unload it, and keep what is seen of it
	mkdir -p "$2" && cd "$2" || exit
	dmesg -c >boot
	/usr/sbin/insmod "$1" 2>insmod-error
	echo $? >insmod
	dmesg -c >log
	[ -d /sys/module/vmx_caps ] && echo loaded >loaded
	ls /sys/kernel/debug/vmx_caps >debugfs 2>/dev/null &&
		cat /sys/kernel/debug/vmx_caps/* >debugfs-text
	rmmod vmx_caps
	echo $? >rmmod
	ls -d /sys/module/vmx_caps /sys/kernel/debug/vmx_caps >left 2>/dev/null
	dmesg -c >after
}
"""
SCRIPT = TRY + """\
/lab/msrdump >/out/msrs
try /lab/modules/vmx_caps.ko /out
exit 0
"""
TROUBLE = re.compile(r"WARNING:|BUG:|Oops|Call Trace|panic|leak|lockdep", re.I)


def run_module(lab: Lab, msrdump: Path, base: str, model: str, cpus: int) -> Run:
    """Load and unload the module in a machine, and read the same MSRs by hand."""
    run = lab.run("--stock", "--base", base, "--cpu", model, "--cpus", cpus,
                  "--add", msrdump, l1=SCRIPT)
    assert run.status == 0, run.l1 + run.stderr
    return run


def read_by_hand(run: Run) -> dict[int, dict[int, int | None]]:
    """What msrdump read: a value a CPU and MSR, None where the read faulted."""
    found: dict[int, dict[int, int | None]] = {}
    for line in run.file("msrs").splitlines():
        match = re.fullmatch(r"cpu (\d+) msr (0x[0-9a-f]+) (0x[0-9a-f]+|fault)", line)
        assert match, line
        value = None if match[3] == "fault" else int(match[3], 16)
        found.setdefault(int(match[1]), {})[int(match[2], 16)] = value
    return found


def logged(text: str) -> dict[int, int | None]:
    """The raw lines of the module's log: a value, or None if not enumerated."""
    found: dict[int, int | None] = {}
    for match in re.finditer(r"\bmsr (0x[0-9a-f]+) IA32_\w+ (0x[0-9a-f]+|not enumerated)", text):
        number = int(match[1], 16)
        assert number not in found, f"{match[0]} is logged twice"
        found[number] = None if match[2] == "not enumerated" else int(match[2], 16)
    return found


@pytest.mark.parametrize(("base", "model", "cpus"), MACHINES)
def test_the_log_equals_msr_by_msr_what_another_reader_gets(
    lab: Lab, msrdump: Path, base: str, model: str, cpus: int
) -> None:
    run = run_module(lab, msrdump, base, model, cpus)
    assert run.file("insmod") == "0\n", run.file("log")
    by_hand = read_by_hand(run)
    assert sorted(by_hand) == list(range(cpus))
    log = logged(run.file("log"))
    assert set(log) == {0x3A, *range(0x480, 0x494)}
    for cpu, values in by_hand.items():
        assert log == values, f"CPU {cpu}"
    # The existence rules would be worth nothing on a machine where nothing faults.
    assert None in log.values()
    said = exits.without_its(run.file("log") + run.file("after"))
    assert not TROUBLE.search(said), said
    assert run.file("rmmod") == "0\n" and run.file("left") == ""
    assert run.file("loaded") == "loaded\n"
    if cpus > 1:
        assert f"all {cpus} online CPUs agree" in run.file("log")
    assert re.search(r"External-interrupt exiting: Can set=Yes, Can clear=Yes", run.file("log"))


def lines(run: Run, folder: str = "") -> list[str]:
    """What the module logged, without what the kernel says of any such module."""
    found = re.findall(r"^(?:\[ *[\d.]+\] )?vmx_caps: (.*)", run.file(f"{folder}log"), re.M)
    return [line for line in found if "taint" not in line]


@pytest.mark.parametrize("model", ["p4_prescott_celeron_336", "trinity_apu"])
def test_without_vmx_insmod_fails_with_enodev_and_one_line_says_why(
    lab: Lab, msrdump: Path, model: str
) -> None:
    run = run_module(lab, msrdump, "small-6.12", model, 1)
    assert run.file("insmod") != "0\n"
    assert "No such device" in run.file("insmod-error")
    assert len(lines(run)) == 1, run.file("log")
    assert re.search(r"not an Intel|no VMX in CPUID", lines(run)[0])
    assert run.file("debugfs") == ""
    assert not TROUBLE.search(run.file("log"))


ROUNDS = """\
round() {
	insmod /lab/modules/vmx_caps.ko && rmmod vmx_caps || exit
	dmesg -c >>/tmp/log
}
count() {
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	awk '/^Slab|^Percpu|^KernelStack|^PageTables/ { print $1, $2 }' /proc/meminfo >"/out/memory-$1"
	cp /proc/slabinfo "/out/slab-$1"
	areas "$1"
}
areas() { grep -cE 'execmem|load_module' /proc/vmallocinfo >"/out/areas-$1"; }
dmesg -c >/dev/null
for i in 1 2 3 4 5; do round; done
count before
i=0; while [ $i -lt 100 ]; do round; i=$((i + 1)); done
count after
insmod /lab/modules/vmx_caps.ko
areas loaded
rmmod vmx_caps
grep -c 'msr 0x480 IA32_VMX_BASIC' /tmp/log >/out/logged
grep -v vmx_caps: /tmp/log >/out/other
cat /proc/modules >/out/modules
exit 0
"""


def kib(text: str) -> int:
    """The kernel's own memory, summed over its kinds."""
    return sum(int(line.split()[1]) for line in text.splitlines())


def objects(text: str) -> dict[str, int]:
    """The objects in use of each slab cache."""
    rows = [line.split() for line in text.splitlines() if not line.startswith(("#", "slabinfo"))]
    return {row[0]: int(row[1]) for row in rows}


def test_a_hundred_rounds_leave_no_leak_and_no_warning(lab: Lab) -> None:
    run = lab.run("--stock", l1=ROUNDS)
    assert run.status == 0, run.l1 + run.stderr
    assert run.file("logged") == "105\n"
    # A loaded module has areas of its own, and none is left.
    assert int(run.file("areas-loaded")) > 0
    assert run.file("areas-before") == run.file("areas-after") == "0\n"
    # One object forgotten a round would be a hundred more in its cache.
    before, after = objects(run.file("slab-before")), objects(run.file("slab-after"))
    grown = {name: after[name] - count for name, count in before.items() if after[name] > count}
    assert all(more < 100 for more in grown.values()), grown
    # And of pages, a hundred rounds may not take a KiB each.
    assert kib(run.file("memory-after")) - kib(run.file("memory-before")) < 100
    assert run.file("modules") == ""
    assert not TROUBLE.search(run.file("other")), run.file("other")
