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
OURS = re.compile(r"^vmx_exits: (?!loading out-of-tree|module verification)(.*)$", re.M)
ENODEV, EOPNOTSUPP, EBUSY, EINVAL = "No such device", "not supported", "busy", "Invalid"

# Rounds of insmod and rmmod. They are of the whole matrix: in Bochs a busy nested guest
# dies of a stack overflow before long, and whether it does so without the module as well
# has to be found out first.
ROUNDS = [pytest.param(base, rounds, marks=pytest.mark.matrix)
          for base, rounds in (("debian-6.12", 20), ("debian-6.12", 1000), ("debian-6.1", 20),
                               ("debian-7.3", 20))]


def attach(lab: Lab, base: str, rounds: int) -> Run:
    """Run the scripts on a kernel as its distribution built it."""
    number = lab.top / f"rounds-{rounds}"
    number.write_text(f"{rounds}\n")
    run = lab.run("--base", base, "--kvm-modules", "stock", "--cpus", 2,
                  "--add", f"{number}:lab/rounds", "--timeout", 600 + 10 * rounds,
                  l1=(HERE / "attach.sh").read_text(), l2=(HERE / "attach-l2.sh").read_text())
    assert run.status == 0, run.l1 + run.stderr
    return run


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_what_it_counts_is_what_the_kernel_counts_of_the_event(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    for stretch in ("reset", "fresh"):
        vm, traced = views.table(run.file(f"{stretch}.vm")), exits.histogram(
            run.file(f"{stretch}.hist"))
        assert vm.exits() == traced, stretch
        assert sum(traced.values()) > 1000, stretch
        assert views.table(run.file(f"{stretch}.host")).rows == vm.rows, stretch
    exits.check_consistent(views.table(run.file("fresh.vm")))


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_all_time_of_the_vcpus_is_accounted_for(lab: Lab, base: str, rounds: int) -> None:
    run = attach(lab, base, rounds)
    total = views.table(run.file("fresh.vm"))[views.TOTAL]
    head, *rows = (line.split("\t") for line in run.file("fresh.vcpus").splitlines())
    vcpus = [dict(zip(head, row, strict=True)) for row in rows]
    assert [vcpu["vcpu"] for vcpu in vcpus] == ["0"]
    times = ("cycles", "blocked", "user", "away", "entry", "guest")
    lives = sum(int(vcpu["mark"]) - int(vcpu["first"]) for vcpu in vcpus)
    assert sum(total[name] for name in times) == lives > 0
    # What each is for did happen: guests ran, waited for the VMM, and shared the CPUs.
    assert total["guest"] and total["user"] and total["cycles"]


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
def test_rounds_of_loading_and_unloading_leave_nothing_in_the_log(
    lab: Lab, base: str, rounds: int
) -> None:
    run = attach(lab, base, rounds)
    assert run.file("rounds").startswith(f"{rounds} from ")
    log = exits.without_its(run.file("dmesg"))
    assert not TROUBLE.search(log), log
    assert not OURS.findall(log), log


@pytest.mark.parametrize(("base", "rounds"), ROUNDS)
def test_a_vm_that_ends_is_gone_and_the_other_stays(lab: Lab, base: str, rounds: int) -> None:
    run = attach(lab, base, rounds)
    one, two, left = (set(run.file(name).split()) for name in ("vms", "vms-two", "vms-one"))
    assert len(one) == 2 and one < two and len(two) == 3
    assert left == two - (one - {"exit_stats_raw"})


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
