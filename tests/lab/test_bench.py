# SPDX-License-Identifier: GPL-2.0
"""The benchmark: its short form runs, and says what it should; no figure is judged."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from vmxlab import REPO
from vmxlab.bench import cpu, lab, page

NOT_BY_REASON = {"stock", "off", "removed"}


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the short form has written."""
    folder = tmp_path_factory.mktemp("bench")
    done = subprocess.run([REPO / "scripts/bench", "--short", "--out", folder],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def short(out: Path) -> dict:
    """What it found."""
    return json.loads((out / "bench.json").read_text(encoding="utf-8"))


def test_each_method_timed_each_kind_of_exit(short: dict) -> None:
    found = short["lab"]["methods"]
    assert found.keys() | short["lab"]["not_run"].keys() == lab.METHODS.keys()
    assert short["lab"]["not_run"].keys() == {"perf"}
    for name, one in found.items():
        assert one["kinds"].keys() == lab.KINDS.keys(), name
        for kind, figures in one["kinds"].items():
            assert figures["rounds"] == short["lab"]["rounds"], (name, kind)
            assert 0 < figures["min"] <= figures["median"] <= figures["p99"], (name, kind)


def test_ours_counts_every_exit_and_the_course_s_method_does_not(short: dict) -> None:
    found = {name: one["exits"] for name, one in short["lab"]["methods"].items()}
    least = short["lab"]["rounds"] * len(lab.KINDS)
    for name, one in found.items():
        assert one["taken"] >= least, name
        assert (one["counted"] is None) == (name in NOT_BY_REASON), name
    for name in ("on", "histograms", "causes", "beside", "hist", "tracepoints"):
        assert found[name]["counted"] == found[name]["taken"], name
    # The last exit has no entry after it.
    assert found["bpf"]["counted"] == found["bpf"]["taken"] - 1
    # A WRMSR on the fastpath never gets to vmx_handle_exit().
    assert found["course"]["counted"] <= found["course"]["taken"] - short["lab"]["rounds"]


def test_each_design_ran(short: dict) -> None:
    for threads, found in short["cpu"]["side_by_side"].items():
        assert found.keys() == cpu.DESIGNS.keys(), threads
        assert found["floor"]["ratio"] == 1, threads
    # Figures of so few rounds are compared with no target.
    assert short["targets"] == []


def test_the_page_and_the_picture_show_it(short: dict, out: Path) -> None:
    text = (out / "bench.md").read_text(encoding="utf-8")
    for name, one in short["lab"]["methods"].items():
        assert f"| {lab.METHODS[name]} |" in text
        assert f"{one['kinds']['cpuid']['median']:,}" in text
    assert f"{lab.METHODS['perf']}: not run, the short form leaves it out." in text
    drawn = (out / "bench.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<svg ") and all(title in drawn for title in lab.KINDS.values())


def test_the_committed_page_is_of_the_whole_benchmark() -> None:
    whole = json.loads((REPO / "docs/bench.json").read_text(encoding="utf-8"))
    assert not whole["short"] and whole["command"] == "make bench"
    assert whole["lab"]["methods"].keys() | whole["lab"]["not_run"].keys() == lab.METHODS.keys()
    for name in ("on", "histograms"):
        one = whole["lab"]["methods"][name]
        for counts in (one["exits"], *one["boots"]):
            assert counts["counted"] == counts["taken"] > 0, name
    # If not: scripts/bench --again --out docs
    assert (REPO / "docs/bench.md").read_text(encoding="utf-8") == page.markdown(whole)
    assert whole["targets"] == page.targets(whole)


def test_make_bench_is_the_script_and_its_help_names_its_options() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^bench: ## .*\n\t@scripts/bench\n",
                     makefile, re.M)
    shown = subprocess.run([REPO / "scripts/bench", "--help"], capture_output=True, text=True,
                           check=True).stdout
    assert "--short" in shown and "--docs" in shown


@pytest.mark.parametrize("words", [("--short", "--docs"), ("--rounds", "3"),
                                   ("--only", "cpuid", "--docs"), ("--only", "all")])
def test_wrong_usage_has_a_status_of_its_own(words: tuple[str, ...]) -> None:
    done = subprocess.run([REPO / "scripts/bench", *words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 64 and "usage:" in done.stderr


def test_again_without_figures_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run([REPO / "scripts/bench", "--again", "--out", tmp_path],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 69 and "Measure first" in done.stderr


@pytest.mark.matrix
def test_only_cpuid_shows_that_exit_by_each_method() -> None:
    done = subprocess.run([REPO / "scripts/bench", "--only", "cpuid"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\| (.*?) \| ([\d,]+) \| ([\d,]+) \| [-+][\d,]+ \| [-+][\d.]+ % \|$",
                      done.stdout, re.M)
    assert [title for title, _, _ in rows] == [lab.METHODS[name] for name in lab.ALONE]
    figures = [[int(figure.replace(",", "")) for figure in found] for _, *found in rows]
    assert all(0 < least <= median for least, median in figures)
