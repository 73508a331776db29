# SPDX-License-Identifier: GPL-2.0
"""The experiments: their short forms run, and their results have the shape they should."""

import json
import subprocess
from pathlib import Path

import pytest

from conftest import REPO

EXCEPTION, CPUID, INVLPG, CR_ACCESS, VIOLATION, MISCONFIGURATION, INVPCID = 0, 10, 14, 28, 48, 49, 58


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory):
    """Makes an experiment, each once a session: the folder with its report."""
    made: dict[tuple[str, ...], Path] = {}

    def run(name: str, *options: str) -> Path:
        if (name, *options) not in made:
            out = tmp_path_factory.mktemp(name)
            done = subprocess.run([REPO / "scripts/experiment", name, "--out", out, *options],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            made[name, *options] = out
        return made[name, *options]

    return run


def result(out: Path) -> dict:
    """The report for programs; the page for people must be there, and whole."""
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.endswith("</body></html>\n") and "<script" not in page and "http://" not in \
        page.replace("http://www.w3.org/2000/svg", "")
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def numbers(counts: dict[str, int]) -> dict[int, int]:
    """Counts by reason, whose keys JSON has made strings."""
    return {int(reason): count for reason, count in counts.items()}


def check_paging(report: dict) -> None:
    """The shape that the course's assignment 4 asks for."""
    assert report["ept_parameter"]["ept"] == "Y" and report["ept_parameter"]["shadow"] == "N"
    for name, steps in report["counts"].items():
        for step, counts in steps.items():
            found = numbers(counts)
            by_ept = found.keys() & {VIOLATION, MISCONFIGURATION}
            by_shadow = found.keys() & {EXCEPTION, INVLPG, INVPCID}
            if name == "ept":
                assert not by_shadow, (name, step)
                assert step != "boot" or by_ept == {VIOLATION, MISCONFIGURATION}, found
            else:
                assert not by_ept, (name, step)
                assert found[EXCEPTION] > 100 and found[CR_ACCESS] > 10, (name, step, found)
        # Reading its own figures is not the workload's.
        assert numbers(steps["fork"]).get(CPUID, 0) < 20, (name, steps["fork"])
        boot = numbers(steps["boot"])
        host = numbers(report["host"][name])
        assert all(count <= host[reason] for reason, count in boot.items()), name
    ept, shadow = (numbers(report["counts"][name]["boot"]) for name in ("ept", "shadow"))
    assert shadow[CR_ACCESS] > 10 * ept[CR_ACCESS]
    assert shadow.keys() & {INVLPG, INVPCID}
    assert sum(shadow.values()) > sum(ept.values())
    changed = {row["reason"] for row in report["changes"]}
    assert {EXCEPTION, CR_ACCESS, VIOLATION, MISCONFIGURATION} <= changed


def test_ept_reasons_vanish_and_those_of_shadow_paging_appear(make) -> None:
    out = make("paging", "--short")
    check_paging(result(out))
    assert (out / "paging.svg").read_text(encoding="utf-8").count("<rect") > 20


@pytest.mark.matrix
def test_so_they_do_on_a_cpu_that_has_no_ept(make) -> None:
    report = result(make("paging"))
    assert set(report["counts"]) == {"ept", "shadow", "penryn"}
    check_paging(report)
