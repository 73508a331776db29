# SPDX-License-Identifier: GPL-2.0
"""The program in the nested guest and on its host: each view, parsed back."""

import base64
import csv
import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from conftest import Lab, Run, build_c
from vmxlab import REPO, views

CPUIDS = 1000
# What one reading of all reasons' counts and cycles may cost in exits.
MOST_EXITS = 300
# The same again: only what occurred is asked for, unless another reason comes in.
MOST_AGAIN = 120


@pytest.fixture(scope="module", name="cpuids")
def program_of_cpuids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that executes CPUID so often."""
    program = tmp_path_factory.mktemp("cpuids") / "cpuids"
    subprocess.run(["cc", "-static", "-nostdlib", f"-DCOUNT={CPUIDS}", "-o", program,
                    REPO / "tests/lab/cpuids.c"], check=True)
    return program


@pytest.fixture(scope="module", params=["6.12", pytest.param("7.3", marks=pytest.mark.matrix)])
def run(request: pytest.FixtureRequest, lab: Lab, vmxscope: Path, cpuids: Path,
        tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, in which the guest and the host are asked everything; of each kernel."""
    folder = tmp_path_factory.mktemp("programs")
    kernel = ["--kernel", request.param]
    done = lab.run(
        *kernel, "--timeout", 900, "--kvm-intel", "nested=1", "--add", vmxscope,
        "--add-guest", vmxscope, "--add-guest", cpuids,
        "--add-guest", build_c(REPO / "tests/lab/inpty.c", folder),
        l1=(REPO / "tests/lab/program.sh").read_text(),
        l2=(REPO / "tests/lab/program-l2.sh").read_text(),
    )
    assert done.status == 0, done.l1[-3000:] + done.l2[-3000:] + done.stderr
    return done


def symbol(program: Path, name: str) -> int:
    """The address of a symbol."""
    said = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in said.splitlines() if line.endswith(f" {name}"))


def section(run: Run, name: str, status: int = 0) -> str:
    """What the guest printed under a title, and that it ended so."""
    found = re.search(rf"^== {name} (\d+)\n(.*?)(?=^== |^exit |\Z)", run.file("guest"), re.M | re.S)
    assert found, f"{name} is not in\n{run.file('guest')[:3000]}"
    assert int(found[1]) == status, found[0][:3000]
    return found[2]


def metrics(text: str) -> dict[tuple[str, str, str], float]:
    """Prometheus' text by metric, VM and reason; strict in what a line may be."""
    found: dict[tuple[str, str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP \w+ .+|TYPE \w+ (counter|gauge|histogram))", line), line
            continue
        match = re.fullmatch(r'(\w+)\{((?:\w+="[^"]*",?)+)\} (\S+)', line)
        assert match, line
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
        key = (match[1], labels["vm"], labels.get("reason", ""))
        if "le" not in labels:
            assert key not in found, line
            found[key] = float(match[3])
    return found


def test_in_the_guest_every_form_is_whole_and_can_be_read_back(run: Run) -> None:
    view = json.loads(section(run, "json"))
    assert view["consistent"] and view["kind"] == "guest"
    for figure in ("exits", "cycles"):
        assert view["total"][figure] == sum(row[figure] for row in view["reasons"])
    occurred = {row["symbol"] for row in view["reasons"] if row["exits"]}
    assert {"CPUID", "EXTERNAL_INTERRUPT", "IO_INSTRUCTION", "EPT_VIOLATION"} <= occurred
    # Each form was read a little later than the one before.
    lines = list(csv.DictReader(io.StringIO(section(run, "csv"))))
    by_csv = {line["symbol"]: int(line["exits"]) for line in lines}
    by_name = metrics(section(run, "prometheus"))
    for row in view["reasons"]:
        if row["exits"]:
            by_prometheus = by_name["vmxscope_exits_total", view["vm"], row["symbol"]]
            assert row["exits"] <= by_csv[row["symbol"]] <= by_prometheus
    table = section(run, "exits")
    for row in view["reasons"]:
        if row["exits"]:
            assert re.search(rf"^ *{row['reason']}  {re.escape(row['name'])} ", table, re.M), table


def test_leaf_prints_what_the_cpuid_program_prints(run: Run) -> None:
    ours, theirs = section(run, "leaf"), section(run, "cpuid")
    count = r"eax=(0x[0-9a-f]{8}) ebx=0x00000000 ecx=0x00000000 edx=0x00000000$"
    first, then = (re.search(count, text, re.M) for text in (ours, theirs))
    assert first and then, ours + theirs
    # External interrupts go on between the two.
    assert 0 < int(first[1], 16) <= int(then[1], 16)
    assert re.sub("eax=0x[0-9a-f]{8}", "", ours) == re.sub("eax=0x[0-9a-f]{8}", "", theirs)


def test_a_command_with_exactly_n_cpuid_exits_is_told_to_have_n(run: Run) -> None:
    stat = json.loads(section(run, "stat-exact"))
    line = next(line for line in stat["average"] if line["symbol"] == "CPUID")
    assert line["exits"] - line["own"] == CPUIDS, line
    assert line["net"] == CPUIDS
    table = section(run, "stat")
    found = re.search(r"^ *10  CPUID +([\d,]+) +[\d.]+% +[\d,]+ +[\d,]+ +([\d,]+) ", table, re.M)
    assert found and int(found[2].replace(",", "")) == CPUIDS, table
    assert "over 3 runs" in table


def test_what_a_command_caused_is_found_with_the_instruction_that_did(
    run: Run, cpuids: Path
) -> None:
    stat = json.loads(section(run, "causes"))
    # CPUID of leaf 0 at CPL 3, at the only place of that program that has one.
    at = symbol(cpuids, "cpuid_at")
    found = [cause for cause in stat["runs"][0]["added"]["causes"]
             if cause["reason"] == 10 and cause["key"] == "0x0" and cause["cpl3"]
             and cause["rip"] == f"{at:#x}"]
    assert len(found) == 1, stat
    # The bound is exact where the table has room.
    assert found[0]["exits"] - found[0]["error"] <= CPUIDS <= found[0]["exits"]
    shown = section(run, "causes-shown")
    place = f"_start+{at - symbol(cpuids, '_start'):#x} cpuids"
    assert re.search(rf" CPUID +{at:#x} +{re.escape(place)}$", shown, re.M), shown


def test_on_the_host_the_causes_of_a_vm_are_those_of_its_file(run: Run) -> None:
    view = json.loads(run.file("causes.json"))
    rows = [line.split("\t") for line in run.file("raw-causes").splitlines()[1:-1]]
    by_file = sorted((int(row[0]), row[2], row[3], *map(int, row[4:])) for row in rows)
    by_view = sorted((cause["reason"], cause.get("key", "-"), cause.get("rip", "-"),
                      cause["cpl3"], cause["nested"], cause["exits"], cause["cycles"],
                      cause["error"]) for cause in view["causes"])
    assert by_view == by_file and len(by_file) > 50
    assert view["consistent"]
    table = run.file("causes")
    exits = views.table(run.file("raw"))[views.TOTAL]["exits"]
    assert table.startswith(f"{exits:,} exits of VM lab")
    assert "IA32_TSC_DEADLINE" in table


def test_the_commands_status_is_passed_on(run: Run) -> None:
    assert "symbol" in section(run, "status", 7).splitlines()[0]


def test_a_recording_is_whole_and_a_reading_costs_few_exits(run: Run) -> None:
    lines = [json.loads(line) for line in section(run, "recording").splitlines()]
    assert "header" in lines[0] and lines[-1]["end"]["status"] == 0
    views = [line["view"] for line in lines if "view" in line]
    assert len(views) >= 5
    totals = [view["total"]["exits"] for view in views]
    assert totals == sorted(totals) and totals[-1] > totals[0]
    # The first and the last have the histograms as well.
    costs = [view["read_exits"] for view in views[1:-1]]
    print(f"exits of one reading, counts and times of all reasons: {costs}")
    print(f"with histograms and states: {views[0]['read_exits']}, {views[-1]['read_exits']}")
    assert max(costs) <= MOST_AGAIN <= MOST_EXITS, costs
    page = section(run, "report")
    assert page.startswith("<!DOCTYPE html>") and "EPT violation" in page
    assert page.rstrip().endswith("</html>")


def test_the_host_keeps_the_rules_of_the_leaves(run: Run) -> None:
    *rules, own = section(run, "check").splitlines()
    assert len(rules) == 7 and own.endswith(" CPUID exits by this program."), rules
    assert all(line.startswith("ok  ") for line in rules), rules


def test_what_the_live_screen_costs(run: Run) -> None:
    """Printed, not bounded: the emulated clock has 50 million counts a second and about one
    an instruction, and what L1 takes of its one CPU meanwhile is in it. What can be held
    to is the exits of a reading, above."""
    figures = section(run, "watch").split()
    assert len(figures) == 8, figures
    used = (int(figures[3]) - int(figures[0])) / 1e9
    elapsed = float(figures[7]) - float(figures[6])
    share = used / elapsed
    print(f"watch at 10 Hz: {used:.3f} s of {elapsed:.2f} s, {share:.2%} of the guest's CPU")
    assert 0 < used < elapsed, "it has one thread"
    screen = base64.b64decode(section(run, "screen")).decode()
    assert "vmxscope  l2" in screen and "exits/s" in screen
    assert screen.endswith("\x1b[?1049l\x1b[?25h"), screen[-100:]


def test_on_the_host_a_stopped_vm_is_the_same_in_each_view(run: Run) -> None:
    raw, host = views.table(run.file("raw")), json.loads(run.file("host.json"))
    view = json.loads(run.file("vm.json"))
    assert (view["kind"], view["vm"], host["kind"]) == ("vm", "lab", "host")
    for row in view["reasons"]:
        if row["reason"] != views.BEYOND:
            assert row["exits"] == raw[row["reason"]]["exits"], row
            assert row["cycles"] == raw[row["reason"]]["cycles"], row
            buckets = {bucket["log2"]: bucket["exits"] for bucket in row.get("histogram", [])}
            assert buckets == raw.buckets[row["reason"]], row
    # Only this VM has run since KVM was loaded.
    assert host["reasons"] == view["reasons"]
    by_csv = {int(line["reason"]): int(line["exits"])
              for line in csv.DictReader(io.StringIO(run.file("vm.csv")))}
    assert by_csv == raw.exits()
    one, everything = json.loads(run.file("vms.json"))
    assert (one["name"], one["vcpus"], one["exits"]) == ("lab", 1, raw[views.TOTAL]["exits"])
    assert everything["exits"] == one["exits"]
    by_name = metrics(run.file("lab.prom"))
    for reason, count in raw.exits().items():
        assert by_name["vmxscope_exits_total", "lab", raw.symbols[reason]] == count
    assert "No VM runs now." in run.file("no-vms")


def test_qemu_tells_the_same_of_each_vcpu(run: Run) -> None:
    assert run.file("qmp-status") == "0\n", run.file("qmp-error")
    view = json.loads(run.file("qmp.json"))
    before, after = views.table(run.file("raw-before")), views.table(run.file("raw-after"))
    assert view["vm"] == "lab" and view["counts_only"]
    for row in view["reasons"]:
        for figure in ("exits", "cycles"):
            least, most = before[row["reason"]][figure], after[row["reason"]][figure]
            assert least <= row[figure] <= most, (row, least, most)
    assert view["total"]["exits"] >= before[views.TOTAL]["exits"]
    assert run.file("per-vcpu").startswith("lab:vcpu0:\n"), run.file("per-vcpu")
    assert "VM exits while it ran: sleep 1" in run.file("stat"), run.file("stat")


def test_the_exporter_serves_each_vm_and_ends_by_sigterm(run: Run) -> None:
    assert run.file("exporter-status") == "0\n", run.file("exporter")
    by_name = metrics(run.file("metrics"))
    assert {vm for _, vm, _ in by_name} == {"lab"}
    before, after = views.table(run.file("raw-after")), views.table(run.file("raw"))
    for reason, count in before.exits().items():
        served = by_name["vmxscope_exits_total", "lab", before.symbols[reason]]
        assert count <= served <= after[reason]["exits"], before.symbols[reason]


def test_caps_are_the_modules_log_and_what_kvm_makes_of_them(run: Run) -> None:
    def raw(text: str) -> list[str]:
        return re.findall(r"^msr 0x[0-9a-f]+ IA32_\w+ .*$", text, re.M)

    assert raw(run.file("caps-log")) == raw(run.file("log"))
    assert len(raw(run.file("log"))) > 15
    kvm = json.loads(run.file("caps.json"))["kvm"]
    parameters = dict(line.split(":", 1) for line in run.file("parameters").splitlines())
    assert kvm["allows_nested"] and "untold" not in kvm, kvm
    for use in kvm["uses"]:
        assert use["value"] == parameters.get(use["parameter"]), use
    ept = next(use for use in kvm["uses"] if use["name"] == "Enable EPT")
    assert (ept["hardware"], ept["value"], ept["nested"]) == (True, "Y", True)
    nested = json.loads(run.file("nested.json"))
    assert {msr["index"] for msr in nested["msrs"]} > {"0x480", "0x48b", "0x48d"}
    assert run.file("withheld-status") == "1\n"
    assert "What KVM makes of it" in run.file("caps")
    for name in kvm["withheld"]:
        assert name in run.file("withheld"), name


STOCK = """\
/lab/vmxscope vms >/tmp/vms 2>&1
echo "vms $?" >/out/statuses
cat /tmp/vms >/out/vms
guest
"""
STOCK_L2 = """\
/lab/vmxscope exits >/tmp/out 2>&1
echo "exits $?" >/dev/vport0p1
cat /tmp/out >/dev/vport0p1
/lab/vmxscope stat -- true >/tmp/out 2>&1
echo "stat $?" >/dev/vport0p1
exit 0
"""


def test_on_the_stock_kernel_the_status_is_3_and_the_message_names_kvm(
    lab: Lab, vmxscope: Path
) -> None:
    run = lab.run("--stock", "--add", vmxscope, "--add-guest", vmxscope,
                  l1="load-kvm\n" + STOCK + "s=$?; cp /run/guest/l2.status /out/guest; exit $s\n",
                  l2=STOCK_L2)
    assert run.status == 0, run.l1[-3000:] + run.stderr
    assert run.file("statuses") == "vms 3\n", run.file("vms")
    assert "it does not count its exits" in run.file("vms")
    assert run.file("vms").endswith(": modprobe vmx_exits\n")
    guest = run.file("guest")
    assert re.search("^exits 3$", guest, re.M) and re.search("^stat 3$", guest, re.M), guest
    assert 'the hypervisor is KVM (signature "KVMKVMKVM' in guest, guest
