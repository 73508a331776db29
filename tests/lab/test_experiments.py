# SPDX-License-Identifier: GPL-2.0
"""The experiments: their short forms run, and their results have the shape they should."""

import json
import subprocess
from pathlib import Path

import pytest

from vmxlab import REPO

EXCEPTION, TRIPLE_FAULT, CPUID, HLT, INVLPG, CR_ACCESS = 0, 2, 10, 12, 14, 28
VIOLATION, MISCONFIGURATION, INVPCID = 48, 49, 58
IO, WRMSR = 30, 32



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


def check_boot(report: dict, reboots: int) -> None:
    """Each boot is known by its own reading, and all of it is the host's."""
    taken = [numbers(counts) for counts in report["boots"]]
    assert len(taken) == 1 + reboots
    # The guest reboots by a triple fault, once.
    assert [counts.get(TRIPLE_FAULT, 0) for counts in taken] == [0] + [1] * reboots
    totals = [sum(counts.values()) for counts in taken]
    host = sum(numbers(report["host"]).values())
    assert totals[0] > 3000 and sum(totals) <= host
    # Its memory has been set up: that makes a reboot cheaper than a boot.
    assert all(1000 < more < totals[0] for more in totals[1:]), totals
    phases = report["phases"]
    assert abs(sum(row["exits"] for row in phases) - host) < len(phases) + 1, (phases, host)
    begins = [row["begin"] for row in phases]
    assert begins == sorted(begins) and begins[0] == 0
    assert {"first boot: kernel", "first boot: drivers", "reboot 1: kernel"} <= \
        {row["phase"] for row in phases}
    assert sum(sum(sample["exits"].values()) for sample in report["samples"]) == host
    assert str(VIOLATION) in report["answers"]["Which reason is the most frequent?"]


def test_a_boot_and_a_reboot_are_told_apart(make) -> None:
    check_boot(result(make("boot", "--short")), 1)


@pytest.mark.matrix
def test_two_reboots_add_about_the_same(make) -> None:
    report = result(make("boot"))
    check_boot(report, 2)
    first, second = (sum(counts.values()) for counts in report["boots"][1:])
    assert 0.8 < second / first < 1.25


def can(entry: dict, title: str, name: str) -> bool:
    """Whether a control may be 1 on a CPU of the atlas."""
    section = next(s for s in entry["caps"]["sections"] if s["title"] == title)
    return next(c["can_set"] for c in section["controls"] if c["name"] == name)


def check_atlas(report: dict) -> None:
    """What is known of the first and of a later generation."""
    atlas = {entry["generation"]: entry for entry in report["atlas"]}
    secondary = "Secondary processor-based VM-execution controls"
    assert not can(atlas["Penryn"], secondary, "Enable EPT")
    assert can(atlas["Haswell"], secondary, "Enable EPT")
    assert can(atlas["Haswell"], secondary, "Enable VPID")
    brought = {step["generation"]: step for step in report["brought"]}
    assert any([secondary, "Enable EPT"] in step["new"] for step in brought.values())
    for entry in atlas.values():
        # Every field of the decoded log is kept.
        assert len(entry["caps"]["msrs"]) == 21 and len(entry["caps"]["sections"]) > 10
        assert entry["caps"]["complete"]


def test_a_later_cpu_brings_capabilities(make) -> None:
    report = result(make("cpus", "--short"))
    assert len(report["atlas"]) == 2 and not report["failed"]
    check_atlas(report)


@pytest.mark.matrix
def test_the_atlas_has_every_model_that_boots(make) -> None:
    report = result(make("cpus"))
    check_atlas(report)
    assert len(report["atlas"]) >= 9
    assert all(entry["failed"] for entry in report["failed"])


def test_each_reader_fits_its_layout_and_no_other(make) -> None:
    results = result(make("layouts"))["results"].values()
    assert len(results) == 9
    for one in results:
        assert one["fits"] == (one["layout"] == one["reader"]), one
        if one["fits"]:
            printed = one["printed"]
            assert printed["all"][0] > 1000 and printed[str(CPUID)][0] > 10
            assert printed["35"] is None and printed["3"][0] == 0


def check_advice(report: dict, rules: dict[str, set[int]]) -> None:
    """Each rule applied, and was about most of what its advice did away with."""
    assert [one["rule"] for one in report["results"]] == list(rules)
    for one in report["results"]:
        before, after = (report["causes"][one["guests"][when]] for when in ("before", "after"))
        counts = [{row["reason"]: row["exits"] for row in side["reasons"]}
                  for side in (before, after)]
        totals = [sum(count.values()) for count in counts]
        assert totals == [one["exits"]["before"], one["exits"]["after"]], one
        gone = [sum(count.get(reason, 0) for reason in rules[one["rule"]]) for count in counts]
        assert gone[0] > 4 * gone[1], (one["rule"], counts)
        assert totals[0] - totals[1] > 0.7 * (gone[0] - gone[1]), (one["rule"], counts)
        assert one["rule"] not in {advice["rule"] for advice in after["advice"]}


# Of what a rule is about, by the SDM's numbers.
RULES = {"serial-console": {IO}, "cpuid": {CPUID}}
MORE_RULES = {**RULES, "tsc-deadline": {WRMSR}, "shadow-paging": {EXCEPTION, CR_ACCESS}}


def test_advice_is_worth_following(make) -> None:
    out = make("causes", "--short")
    report = result(out)
    check_advice(report, RULES)
    cpuid = next(one for one in report["results"] if one["rule"] == "cpuid")
    # work.c executes it so often.
    assert 16_000 <= cpuid["of_rule"] < 16_200
    drawn = (out / "causes.svg").read_text(encoding="utf-8")
    assert all(f">{rule}</text>" in drawn for rule in RULES)


@pytest.mark.matrix
def test_so_is_what_takes_longer_to_show(make) -> None:
    report = result(make("causes"))
    check_advice(report, MORE_RULES)
    also = {one["rule"]: one["also"] for one in report["results"]}
    assert "cr3" in also["shadow-paging"] and "interrupt-window" in also["tsc-deadline"]


def test_all_is_each_of_them() -> None:
    # What `make experiments` runs is what the tests above run one by one.
    shown = subprocess.run([REPO / "scripts/experiment", "--help"], capture_output=True, text=True,
                           check=True).stdout
    names = ("paging", "boot", "cpus", "layouts", "baselines", "causes")
    assert f"{{{','.join(names)},all}}" in shown.replace("\n", "").replace(" ", "")
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    for name in names:
        assert f"\nexperiment-{name}: ## " in makefile
        assert f"\t@scripts/experiment {name}\n" in makefile
    assert "\t@scripts/experiment all\n" in makefile


def test_the_readmes_picture_is_one_of_the_experiments(make) -> None:
    drawn = (make("paging", "--short") / "paging.svg").read_text(encoding="utf-8")
    shown = (REPO / "docs/paging.svg").read_text(encoding="utf-8")
    for text in ("Haswell, ept=1", "Haswell, ept=0", "EPT violation (48)", "INVPCID (58)"):
        assert f">{text}</text>" in drawn and f">{text}</text>" in shown, text


@pytest.mark.matrix
def test_a_baseline_has_what_its_guest_did(make) -> None:
    out = make("baselines", "--short")
    counts = {name: numbers(found) for name, found in result(out)["counts"].items()}
    # An idle guest halts, a boot sets up its memory, and a disk is told of its requests.
    assert HLT in counts["idle"] and sum(counts["boot"].values()) > 10_000
    assert counts["disk"][MISCONFIGURATION] > counts["idle"].get(MISCONFIGURATION, 0)
    for name in counts:
        first, *rest = (out / f"{name}.rec").read_text(encoding="utf-8").splitlines()
        header = json.loads(first)["header"]
        assert header["compare"] in ("rate", "count", "share") and "Linux 6." in header["about"]
        assert all("view" in json.loads(line) for line in rest) and rest
