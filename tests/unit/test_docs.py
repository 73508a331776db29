# SPDX-License-Identifier: GPL-2.0
"""Every command of the documents is run by a test: here if it is cheap, else in the one named."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from vmxlab import REPO

DOCS = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]

# Commands that are run here, as they are.
RUN_HERE = (
    "scripts/lab --help",
    "$(scripts/build-cli) caps diff tests/dumps/bochs-2.7-penryn.txt "
    "out/assignment1/out/vmx_caps.log",
    "$(scripts/build-cli) caps --from out/assignment1/out/vmx_caps.log",
    "mkdir -p out/student",
    "cc -O2 -static -o out/student/reader docs/course/spring22.c",
    "scripts/kernels-md",
)
# What these need of an earlier command: a log as the lab leaves it.
GIVEN = {"out/assignment1/out/vmx_caps.log": REPO / "tests/dumps/bochs-2.7-haswell.txt"}
# `caps diff` says by its status that there are differences.
STATUS = {"$(scripts/build-cli) caps diff": 1}

LAB = "tests/lab/"
# The others, and the test that does what each of them says. A test of a make
# target may run the script behind it.
RUN_ELSEWHERE = {
    "make demo": LAB + "test_demo.py::test_the_demo_ends_with_the_exits_of_the_nested_guest",
    "make test": ".ci/run",
    "make module KDIR=/usr/src/linux-headers-6.12.117+deb13-amd64":
        LAB + "test_builds.py::test_make_module_builds_it_against_a_tree_and_cleans_up",
    "insmod vmx_caps.ko":
        LAB + "test_caps.py::test_the_log_equals_msr_by_msr_what_another_reader_gets",
    "dmesg": LAB + "test_caps.py::test_the_log_equals_msr_by_msr_what_another_reader_gets",
    "rmmod vmx_caps": LAB + "test_caps.py::test_the_log_equals_msr_by_msr_what_another_reader_gets",
    "make patch KERNEL_TREE=~/linux-6.12":
        LAB + "test_series.py::test_it_goes_on_and_out_and_leaves_the_tree_as_it_was",
    "make kvm KDIR=/usr/src/linux-headers-6.12.117+deb13-amd64 OUT=out/kvm":
        LAB + "test_kvm_modules.py::"
        "test_make_kvm_builds_without_a_warning_and_every_import_is_there",
    "make export-series OUT=/tmp/series":
        LAB + "test_series.py::test_make_export_series_writes_where_it_is_told",
    "rmmod kvm_intel kvm":
        LAB + "test_leaves.py::test_bad_values_are_refused_and_a_reset_and_an_end_leave_zero",
    "insmod out/kvm/kvm.ko":
        LAB + "test_leaves.py::test_bad_values_are_refused_and_a_reset_and_an_end_leave_zero",
    "insmod out/kvm/kvm-intel.ko":
        LAB + "test_leaves.py::test_bad_values_are_refused_and_a_reset_and_an_end_leave_zero",
    "make install PREFIX=~/.local":
        "tests/unit/test_packages.py::test_make_install_brings_the_program_its_pages_and_completions",
    "make deb":
        "tests/unit/test_packages.py::test_the_debian_package_of_the_program_needs_nothing_else",
    "make dkms-deb":
        "tests/unit/test_packages.py::"
        "test_dkms_builds_both_modules_against_debians_headers_without_rust",
    "apt install ./out/vmxscope-dkms_*.deb":
        "tests/unit/test_packages.py::"
        "test_dkms_builds_both_modules_against_debians_headers_without_rust",
    "modprobe vmx_exits": LAB + "test_attach.py::"
        "test_the_guest_is_served_while_it_is_there_and_by_kvm_as_before_otherwise",
    "vmxscope vms":
        LAB + "test_program.py::test_on_the_host_a_stopped_vm_is_the_same_in_each_view",
    "make lab":
        LAB + "test_lab.py::test_the_shell_takes_commands_from_a_terminal_and_gives_it_back",
    "scripts/lab --l1 my-script.sh":
        LAB + "test_lab.py::test_a_file_can_be_put_anywhere_and_kernel_arguments_reach_the_kernel",
    "scripts/lab --l2 my-script.sh --kvm-intel ept=0":
        LAB + "test_lab.py::test_a_guest_of_each_kind_runs_its_script_and_both_statuses_come_back",
    "grep -A 4 '^Pin-based' out/assignment1/out/vmx_caps.log":
        LAB + "test_course.py::test_assignment_1_logs_what_the_guide_shows",
    "make bench-exit": LAB + "test_bench.py::test_only_cpuid_shows_that_exit_by_each_method",
    "make bench":
        LAB + "test_bench.py::test_ours_counts_every_exit_and_the_course_s_method_does_not",
    "make experiments": LAB + "test_experiments.py::test_all_is_each_of_them",
    "make experiment-paging":
        LAB + "test_experiments.py::test_ept_reasons_vanish_and_those_of_shadow_paging_appear",
    "make experiment-boot": LAB + "test_experiments.py::test_a_boot_and_a_reboot_are_told_apart",
    "make experiment-cpus": LAB + "test_experiments.py::test_a_later_cpu_brings_capabilities",
    "make experiment-baselines":
        LAB + "test_experiments.py::test_a_baseline_has_what_its_guest_did",
    "make experiment-causes":
        LAB + "test_experiments.py::test_advice_is_worth_following",
    "make experiment-layouts":
        LAB + "test_experiments.py::test_each_reader_fits_its_layout_and_no_other",
    "scripts/lab --l1 docs/course/assignment1.sh --out out/assignment1":
        LAB + "test_course.py::test_assignment_1_logs_what_the_guide_shows",
    'scripts/lab --l2 docs/course/assignment2.sh --add-guest "$(scripts/build-cli)" '
    "--out out/assignment2":
        LAB + "test_course.py::test_assignments_2_and_3_read_what_the_guide_shows",
    'scripts/lab --l2 docs/course/assignment2.sh --add-guest "$(scripts/build-cli)" '
    "--kvm-intel ept=0": LAB + "test_course.py::test_a_guest_by_shadow_paging_reads_them_too",
    "KERNEL_TREE=~/linux-6.12 scripts/lab --stock --l1 docs/course/check.sh "
    "--l2 docs/course/check-l2.sh --add-guest out/student/reader:lab/reader --out out/student/run":
        LAB + "test_course.py::test_the_check_for_teachers_passes_a_right_reader_only",
}


# Where the test does the same by another command, what shows that.
BY_OTHER_WORDS = {
    "apt install ./out/vmxscope-dkms_*.deb": ["dpkg-deb", '"dkms"'],
    "modprobe vmx_exits": ["insmod", "vmx_exits.ko"],
    "grep -A 4 '^Pin-based' out/assignment1/out/vmx_caps.log": ['shown("Assignment 1")'],
}


def blocks() -> list[tuple[str, str]]:
    """Each command line of the documents' shell blocks, without its comment."""
    found = []
    for doc in DOCS:
        text = doc.read_text(encoding="utf-8")
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if command := re.sub(r"\s+#.*$", "", line).strip():
                    found.append((doc.name, " ".join(command.split())))
    return found


def code(place: str) -> str:
    """The file of a test that is there, what it imports, and the scripts that it names."""
    file, _, function = place.partition("::")
    text = (REPO / file).read_text(encoding="utf-8")
    assert f"def {function}(" in text, f"{place} does not exist"
    shared = (REPO / LAB / "conftest.py").read_text(encoding="utf-8")
    for name in re.findall(r"\w+", "".join(re.findall("^from conftest import (.*)", text, re.M))):
        text += "".join(re.findall(rf"^class {name}:\n(?:(?: .*)?\n)*", shared, re.M))
    scripts = [REPO / folder / name for name in re.findall(r"[\w-]+\.sh", text)
               for folder in (LAB, "docs/course")]
    return text + "".join(path.read_text(encoding="utf-8") for path in scripts if path.exists())


def signs(command: str) -> list[list[str]]:
    """What shows that a text runs a command: all words of one of these lists."""
    if command in BY_OTHER_WORDS:
        return [BY_OTHER_WORDS[command]]
    first, *words = command.split()
    if first == "make":
        makefile = (REPO / "Makefile").read_text(encoding="utf-8")
        recipe = re.search(rf"^{words[0]}:.*\n\t@(.*)$", makefile, re.M)
        assert recipe, command
        return [recipe[1].split(), ['"make"', f'"{words[0]}"'], ['"make"', f'make("{words[0]}"']]
    if "scripts/lab" in command:
        return [["lab.run("], ["scripts/lab"], ["lab(", "docs/course"]]
    return [[first, *words[:1]] if first in ("vmxscope", "rmmod") else [first]]


def test_each_command_of_the_documents_is_run_by_a_test() -> None:
    commands = blocks()
    assert len(commands) > 15
    for doc, command in commands:
        assert command in RUN_HERE or command in RUN_ELSEWHERE, f"{doc}: no test runs {command!r}"
    stale = {*RUN_HERE, *RUN_ELSEWHERE} - {command for _, command in commands}
    assert not stale, "in no document any more"


@pytest.mark.parametrize(("command", "place"), RUN_ELSEWHERE.items(), ids=RUN_ELSEWHERE)
def test_the_tests_that_run_them_are_there(command: str, place: str) -> None:
    if "::" not in place:
        assert command in (REPO / place).read_text(encoding="utf-8")
        return
    text = code(place)
    assert any(all(word in text for word in words) for words in signs(command)), \
        f"{place} does not run {command!r}"


@pytest.mark.parametrize("command", RUN_HERE)
def test_a_command_that_is_cheap_does_what_it_says(command: str, tmp_path: Path) -> None:
    for name in ("scripts", "docs", "tests"):
        (tmp_path / name).symlink_to(REPO / name)
    for name, source in GIVEN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "out/student").mkdir(exist_ok=True)
    # Cargo takes the same sources in another folder for others, and builds them again.
    words = command.replace("(scripts/build-cli)", f"({REPO}/scripts/build-cli)")
    done = subprocess.run(["bash", "-c", words], cwd=tmp_path, capture_output=True, text=True,
                          check=False, env=os.environ)
    wanted = next((s for words, s in STATUS.items() if command.startswith(words)), 0)
    assert done.returncode == wanted, done.stdout + done.stderr
    assert done.stdout or "out/student" in command


def test_the_makefile_has_each_target_that_a_document_names() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    for doc in DOCS:
        text = doc.read_text(encoding="utf-8").replace("\n", " ")
        for target in re.findall(r"`make ([a-z-]+)", text):
            assert target in targets, f"{doc.name}: make {target}"


def without_versions(text: str) -> str:
    """A text in which each version of a kernel or package is the same."""
    return re.sub(r"\d+\.\d+\.\d+\S*|(?<= of )[\w-]+(?= \|)", "N", text)


def test_the_table_of_kernels_is_what_its_generator_prints() -> None:
    done = subprocess.run([REPO / "scripts/kernels-md"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    committed = (REPO / "docs/kernels.md").read_text(encoding="utf-8")
    # If not: scripts/kernels-md >docs/kernels.md
    assert without_versions(committed) == without_versions(done.stdout)
