# SPDX-License-Identifier: GPL-2.0
"""The capability atlas: what each CPU model of the emulator can do for virtual machines.

Each model boots Linux and loads the capability module; its log is decoded by
`vmxscope caps`, and every field of that is kept.
"""

from __future__ import annotations

import json
import re
from typing import Any

from vmxlab import bochs, guest
from vmxlab.errors import LabError
from vmxlab.report import html, svg

from . import common
from .common import Experiment

# Bochs' models of Intel CPUs of 64 bits from the first with VMX on: the name of
# the generation, in the order in which they came to market.
GENERATIONS = {
    "core2_penryn_t9600": "Penryn",
    "corei5_lynnfield_750": "Lynnfield",
    "corei5_arrandale_m520": "Arrandale",
    "corei7_sandy_bridge_2600k": "Sandy Bridge",
    "corei7_ivy_bridge_3770k": "Ivy Bridge",
    "corei7_haswell_4770": "Haswell",
    "broadwell_ult": "Broadwell",
    "corei7_skylake_x": "Sky Lake",
    "corei3_cnl": "Cannon Lake",
    "corei7_icelake_u": "Ice Lake",
    "tigerlake": "Tiger Lake",
    "sapphire_rapids": "Sapphire Rapids",
    "arrow_lake": "Arrow Lake",
    "wildcat_lake": "Wildcat Lake",
}
# Why the others of Bochs' models are not run.
LEFT_OUT = {
    "core_duo_t2400_yonah": "has VMX but only 32 bits; the lab's kernel has 64",
    "p4_prescott_celeron_336": "64 bits without VMX",
    "bx_generic": "no model of a CPU",
}
# What a model's kernel has to be told, and why.
APPEND = {
    # Bochs 3.1: "XSETBV: Illegal attempt to enable AMX state", whereupon the
    # kernel panics. 600 is CPUID's bit for AMX tiles in the kernel's numbering.
    "sapphire_rapids": "clearcpuid=600",
}
# What is found of a model, as the report has it, and what may be set, by section and name.
Entry = dict[str, Any]
Capabilities = dict[str, dict[str, int]]
SHORT = ("core2_penryn_t9600", "corei7_haswell_4770")


def capabilities(caps: dict[str, Any]) -> Capabilities:
    """What may be set, by section: 1 or 0, or the value of a field that is a number."""
    found: Capabilities = {}
    for section in caps["sections"]:
        bits = {one["name"]: int(one["can_set"]) for one in section.get("controls", ())}
        # A field whose value is shown as Yes or No is a capability as well.
        bits |= {one["name"]: one["value"] for one in section.get("fields", ())
                 if one["shown"] in ("Yes", "No")}
        if section["title"] != "Feature control" and bits:
            found[section["title"]] = bits
    return found


def one(experiment: Experiment, version: str, model: str) -> Entry:
    """Run one model: its capabilities, or what went wrong."""
    name = f"{version}-{model}"
    found: Entry = {"bochs": version, "model": model, "generation": GENERATIONS[model]}
    append = ["--append", APPEND[model]] if model in APPEND else []
    run = experiment.lab(name, "--stock", "--cpu", model, "--l1", common.SCRIPTS / "cpus-l1",
                         *append, may_fail=True)
    if run.status:
        last = [line for line in run.l1.splitlines() if line.strip()][-1:] or ["no output"]
        reason = run.stderr.strip().splitlines() or [""]
        return found | {"failed": f"{reason[0]} Last line: {last[0][-160:]}"}
    if (run.out / "out/refused").exists():
        return found | {"failed": run.file("vmx_caps.log").strip() or run.file("refused").strip()}
    log = run.out / "out/vmx_caps.log"
    caps = json.loads(guest.run_vmxscope("caps", "--json", "--from", log))
    del caps["source"]
    said = re.search(r": (.*)", run.file("cpu"))
    return found | {"cpu": said[1].strip() if said else "", "caps": caps,
                    "flags": run.file("flags").partition(":")[2].split()}


def brought(atlas: list[Entry]) -> list[Entry]:
    """For each generation, what none before it had, and what it lacks that all before had."""
    seen: set[tuple[str, str]] = set()
    before: list[set[tuple[str, str]]] = []
    found = []
    for entry in atlas:
        has = {(title, name) for title, bits in capabilities(entry["caps"]).items()
               for name, bit in bits.items() if bit}
        lost = sorted(before[-1] - has) if before else []
        found.append({"generation": entry["generation"], "model": entry["model"],
                      "new": [list(item) for item in sorted(has - seen)],
                      "lost": [list(item) for item in lost]})
        seen |= has
        before.append(has)
    return found


def run(experiment: Experiment) -> None:
    """Run all models, and write the atlas."""
    guest.vmxscope()
    results: list[Entry] = []
    left_out: dict[str, str] = {}
    version = bochs.find().version
    for model in bochs.find().models:
        if model not in GENERATIONS:
            left_out[model] = LEFT_OUT.get(model, "no Intel CPU of 64 bits with VMX")
        elif not experiment.short or model in SHORT:
            experiment.say(f"{model}, Bochs {version}")
            results.append(one(experiment, version, model))
    atlas = sorted((r for r in results if "caps" in r),
                   key=lambda r: list(GENERATIONS).index(r["model"]))
    failed = [r for r in results if "failed" in r]
    if not atlas:
        raise LabError("no CPU model gave its capabilities",
                       f"{experiment.out}/runs has the machines' consoles.")
    steps = brought(atlas)
    shown = html.Page("What each generation can do for virtual machines", experiment.about())
    shown.text("The VMX capabilities of Bochs' CPU models, as the module vmx_caps logged them. "
               "A model is Bochs' idea of that CPU: Bochs leaves out what it does not emulate "
               "(such as Intel PT), and adds nothing.")
    columns = [entry["generation"] for entry in atlas]
    tables = [capabilities(entry["caps"]) for entry in atlas]
    titles = list(dict.fromkeys(title for table in tables for title in table))
    drawn = picture(tables, titles, columns)
    experiment.file("atlas.svg", drawn)
    shown.heading("Which CPU brought what")
    for entry, step in zip(atlas, steps, strict=True):
        new = ", ".join(f"{name}" for title, name in step["new"]) or "nothing new"
        if entry is atlas[0]:
            new = f"{len(step['new'])} capabilities to begin with"
        lost = ", ".join(name for _, name in step["lost"])
        shown.text(f"{entry['generation']} ({entry['cpu'] or entry['model']}, Bochs "
                   f" {entry['bochs']}): {new}."
                   + (f" Without, though the one before has it: {lost}." if lost else ""))
    shown.figure(drawn, "What not all of them have. Full: the control may be 1, or the "
                        "capability is there.")
    for title in titles:
        shown.heading(title)
        bits = dict.fromkeys(name for table in tables for name in table.get(title, {}))
        shown.table([title, *columns], [
            [name, *("yes" if table.get(title, {}).get(name) else "-" for table in tables)]
            for name in bits])
    shown.heading("The MSRs")
    msrs = {msr["name"] for entry in atlas for msr in entry["caps"]["msrs"]}
    values = [{m["name"]: m["state"] for m in entry["caps"]["msrs"]} for entry in atlas]
    shown.table(["MSR", *columns],
                [[name, *(value.get(name, "") for value in values)] for name in sorted(msrs)])
    shown.heading("What was not run, or did not work")
    shown.points([f"{r['model']}, Bochs {r['bochs']}: {r['failed']}" for r in failed]
               + [f"{model}: {why}" for model, why in sorted(left_out.items())])
    shown.write(experiment.out / "report.html")
    experiment.write_json({"atlas": atlas, "brought": steps, "failed": failed,
                           "left_out": left_out})


def picture(tables: list[Capabilities], titles: list[str], columns: list[str]) -> str:
    """The capabilities in which the generations differ."""
    rows = []
    for title in titles:
        for name in dict.fromkeys(n for table in tables for n in table.get(title, {})):
            values = ["1" if table.get(title, {}).get(name) else "0" for table in tables]
            if len(set(values)) > 1:
                rows.append((name, values))
    return svg.matrix("VMX capabilities by CPU generation", columns, rows)
