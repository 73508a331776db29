# SPDX-License-Identifier: GPL-2.0
"""vmx_exits: it counts beside a KVM that nobody changed, while VMs run, or it refuses."""

import re
import shutil
from pathlib import Path

import pytest

import exits
from conftest import Lab
from vmxlab import REPO, kernel, views
from vmxlab.machine import Run

HERE = REPO / "tests/lab"
TROUBLE = re.compile(r"WARNING:|BUG:|Oops|Call Trace|soft lockup|rcu.*stall")
# What the module's own log lines are, and no other.
OURS = re.compile(r"vmx_exits: (?!loading out-of-tree|module verification)(.*)$", re.M)
ENODEV, EOPNOTSUPP, EBUSY, EINVAL = "No such device", "not supported", "busy", "Invalid"

# Rounds of insmod and rmmod, by base. One takes two seconds of the emulated clock.
ROUNDS = [pytest.param("debian-6.12", 2),
          *(pytest.param(base, rounds, marks=pytest.mark.matrix)
            for base, rounds in (("debian-6.12", 1000), ("debian-6.1", 20), ("debian-7.3", 20)))]


def attach(lab: Lab, base: str, rounds: int) -> Run:
    """Run the scripts on a kernel as its distribution built it.

    On one emulated CPU: docs/lab.md says what Bochs does to nested guests on several.
    """
    number = lab.top / f"rounds-{rounds}"
    number.write_text(f"{rounds}\n")
    run = lab.run("--base", base, "--kvm-modules", "stock", "--guest-cpus", 2,
                  "--add", f"{number}:lab/rounds", "--timeout", 1500 + 15 * rounds,
                  l1=(HERE / "attach.sh").read_text(), l2=(HERE / "attach-l2.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


def check_counts(run: Run, name: str) -> list[Path]:
    """Over a stretch both VMs' tables, and the host's, are what was traced; their folders."""
    folders = sorted(run.out.glob(f"out/{name}/*-*"))
    assert len(folders) == 2
    tables = [views.table((folder / "exit_stats_raw").read_text()) for folder in folders]
    host = views.table(run.file(f"{name}/exit_stats_raw"))
    assert host.exits() == exits.histogram(run.file(f"{name}/hist")), name
    assert host[views.TOTAL]["exits"] == sum(vm[views.TOTAL]["exits"] for vm in tables) > 0
    return folders


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_what_it_counts_is_what_the_kernel_counts_of_the_event(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    for stretch in ("reset", "fresh"):
        for folder in check_counts(run, stretch):
            vm = views.table((folder / "exit_stats_raw").read_text())
            assert vm[views.TOTAL]["exits"] > 100, stretch
            if stretch == "fresh":
                exits.check_consistent(vm)


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_all_time_of_the_vcpus_is_accounted_for(lab: Lab, base: str, rounds: int) -> None:
    run = attach(lab, base, rounds)
    for folder in run.out.glob("out/fresh/*-*"):
        table = views.table((folder / "exit_stats_raw").read_text())
        vcpus = (folder / "exit_stats_vcpus").read_text()
        assert [vcpu["vcpu"] for vcpu in exits.lives(vcpus)] == ["0", "1"]
        exits.check_life(table, vcpus)
        # What each is for did happen: guests ran, waited for the VMM, and shared the CPU.
        assert all(table[views.TOTAL][name] for name in ("guest", "user", "away", "cycles"))


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_the_guest_is_served_while_it_is_there_and_by_kvm_as_before_otherwise(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    said = [line.split() for line in run.file("guest").splitlines()]
    order = [who for i, (who, _) in enumerate(said) if not i or said[i - 1][0] != who]
    assert order[:2] == ["own", "served"] and order[-1] == "served", order
    assert len({eax for who, eax in said if who == "own"}) == 1
    # Version 1, the course's layout, histograms, Intel's reasons, beside KVM.
    assert {eax for who, eax in said if who == "served"} == {"eax=0x01020001"}


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_rounds_of_loading_and_unloading_lose_no_exit_and_leave_nothing_in_the_log(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    assert run.file("rounds").startswith(f"{rounds} from ")
    for number in range(0, rounds, 1 + rounds // 20):
        check_counts(run, f"round-{number}")
    log = exits.without_its(run.file("dmesg"))
    assert not TROUBLE.search(log), log
    assert not OURS.findall(log), log


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_a_vm_that_ends_is_gone_and_the_other_stays(lab: Lab, base: str, rounds: int) -> None:
    run = attach(lab, base, rounds)
    two, left = (set(run.file(name).split()) for name in ("vms-two", "vms-one"))
    assert len(two) == 3 and len(left) == 2 and left < two


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_a_kernel_that_enforces_signatures_refuses_the_unsigned_module(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    assert "Key was rejected by service" in run.file("unsigned")


def refusals(lab: Lab) -> Run:
    """Run the script that gives it reasons to refuse."""
    built = lab.top / "attach"
    if not built.exists():
        shutil.copytree(HERE / "attach", built)
        kernel.run_make(kernel.base("small-6.12").headers, f"M={built}", "modules")
    run = lab.run("--base", "small-6.12", "--kvm-modules", "stock",
                  "--add", built / "taken.ko", "--add", built / "unknown.ko",
                  l1=(HERE / "attach-refusals.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


# Reason: what insmod says (the error), and what the one line of the log is about.
REFUSALS = {
    "no-kvm": (ENODEV, "KVM is not loaded"),
    "unknown": (EOPNOTSUPP, "this KVM is not known"),
    "ftrace-off": (EBUSY, "ftrace is off"),
    "taken": (EBUSY, "a live patch or a BPF program has one of them"),
    "enlightened": (EOPNOTSUPP, "enlightened VMCS"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses_with_one_line_and_an_error_that_fits(lab: Lab, name: str) -> None:
    run = refusals(lab)
    error, about = REFUSALS[name]
    lines = run.file(f"{name}.log").splitlines()
    assert len(lines) == 1 and lines[0].startswith("vmx_exits: ") and about in lines[0], lines
    assert run.file(f"{name}.status") != "0\n"
    assert error in run.file(f"{name}.error")


@pytest.mark.parametrize("name", ["guest", "layout", "hist"])
def test_a_bad_value_of_a_parameter_is_refused(lab: Lab, name: str) -> None:
    run = refusals(lab)
    assert run.file(f"{name}.status") != "0\n"
    assert EINVAL in run.file(f"{name}.error")
    assert f"`{name}'" in run.file(f"{name}.log") or f"'{name}'" in run.file(f"{name}.log")


def test_it_keeps_what_it_needs_and_lets_go_of_it(lab: Lab) -> None:
    run = refusals(lab)
    assert run.file("nothing.status") == "0\n" and run.file("nothing.log") == ""
    assert run.file("parameters").split() == ["vmm", "fall22", "N"]
    assert run.file("rmmod-kvm").endswith("\n1\n")
    assert run.file("ftrace") == "1\n"
    assert not TROUBLE.search(exits.without_its(run.file("dmesg")))


def test_a_kvm_that_counts_itself_is_left_alone(lab: Lab) -> None:
    run = lab.run("--base", "small-6.12", "--kvm-modules", "patched", l1="""\
load-kvm || exit
dmesg -c >/dev/null
/usr/sbin/insmod /lab/modules/vmx_exits.ko 2>/out/error && exit 1
dmesg >/out/log
exit 0
""")
    assert run.status == 0, run.l1 + run.stderr
    assert EBUSY in run.file("error")
    found = re.findall(r"vmx_exits: (.*)", run.file("log"))
    assert [line for line in found if "out-of-tree" not in line] == [
        "this KVM counts its exits itself: see kvm/exit_stats_raw in debugfs"]


# Exits that come when the host wants and not when the guest does something.
TIMED = {"haswell": {1, 48, 52}, "trinity_apu": {0x60, 0x61, 0x400}}


def small(lab: Lab, l3: Path, model: str, modules: str) -> Run:
    """Run the small guests, which do the same each time."""
    run = lab.run("--base", "small-6.12", "--kvm-modules", modules, "--cpu", model,
                  "--kvm", "force_emulation_prefix=1",
                  "--add", f"{l3}:lab/l3", l1=(HERE / "attach-small.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


@pytest.mark.parametrize("model", TIMED)
def test_the_same_work_gives_the_same_counts_beside_kvm_as_inside(
    lab: Lab, l3: Path, model: str
) -> None:
    counts = {}
    for modules in ("stock", "patched"):
        run = small(lab, l3, model, modules)
        table = views.table(run.file("work/exit_stats_raw"))
        assert table.exits() == exits.histogram(run.file("work/hist")), modules
        exits.check_consistent(table, int(run.file("work/exits")))
        counts[modules] = {reason: count for reason, count in table.exits().items()
                           if reason not in TIMED[model]}
    assert counts["stock"] == counts["patched"]
    assert max(counts["stock"].values()) >= 100


@pytest.mark.parametrize(("model", "eax"), [("haswell", "0x1020001"), ("trinity_apu", "0x1120001")])
def test_small_guests_are_told_who_counts_and_whose_numbers_these_are(
    lab: Lab, l3: Path, model: str, eax: str
) -> None:
    run = small(lab, l3, model, "stock")
    found = [line.split()[2] for line in run.file("cpuid/said").splitlines()
             if line.startswith("0x4ffffffb 0x0: ")]
    assert found and set(found) == {eax}
    assert run.file("left") == "exit_stats_raw\n"
    assert not TROUBLE.search(exits.without_its(run.file("dmesg")))


# Exits by CPUID, and by what the prefix of KVM's emulator is.
CPUID_UD = {"haswell": (10, 0), "trinity_apu": (0x72, 0x46)}
ROUNDS_OF_L3 = 100  # As in attach-small.sh.


@pytest.mark.parametrize("model", TIMED)
def test_a_cpuid_that_kvm_emulates_is_answered_and_is_no_cpuid_exit(
    lab: Lab, l3: Path, model: str
) -> None:
    run = small(lab, l3, model, "stock")
    answers = {mode: [line for line in run.file(f"{mode}/said").splitlines()
                      if re.match("0x(4ffffffb 0x[01]|1 0x0|50000000 0x0): ", line)]
               for mode in ("cpuid", "cpuid-emulated")}
    assert answers["cpuid"] == answers["cpuid-emulated"]
    assert len(answers["cpuid"]) == 4 * ROUNDS_OF_L3
    table = views.table(run.file("cpuid-emulated/exit_stats_raw"))
    by_cpuid, by_prefix = CPUID_UD[model]
    assert by_cpuid not in table.exits()
    assert table[by_prefix]["exits"] == 100 * ROUNDS_OF_L3
    assert table.exits() == exits.histogram(run.file("cpuid-emulated/hist"))


def test_a_cpuid_that_faults_is_not_answered(lab: Lab, l3: Path) -> None:
    # On AMD, KVM resets a vCPU after a shutdown, with all that was set for this.
    run = small(lab, l3, "haswell", "stock")
    found = re.findall(r"^(0x\w+) (0x\w+): (.*)$", run.file("cpuid-faulting/said"), re.M)
    assert len(found) == 100 * ROUNDS_OF_L3
    for leaf, subleaf, registers in found:
        assert registers == f"{leaf} 0xffffffff {subleaf} 0xffffffff"
    table = views.table(run.file("cpuid-faulting/exit_stats_raw"))
    assert table[CPUID_UD["haswell"][0]]["exits"] == 100 * ROUNDS_OF_L3
    assert table.exits() == exits.histogram(run.file("cpuid-faulting/hist"))
