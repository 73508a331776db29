# SPDX-License-Identifier: GPL-2.0
"""The dashboard and the rules in docs/ ask for metrics and labels that the exporter has."""

import json
import re
import subprocess
from collections.abc import Iterator, Set

from vmxlab import REPO

DASHBOARD = REPO / "docs/grafana-vmxscope.json"
RULES = REPO / "docs/prometheus-rules.yml"
# What the program's own tests compare the exporter's page with.
PAGE = REPO / "guest-tools/tests/snapshots/guest__prometheus.snap"


def exported() -> tuple[set[str], set[str]]:
    """The names of all metrics, a histogram's three included, and of all labels."""
    page = PAGE.read_text(encoding="utf-8")
    names = set(re.findall(r"^(vmxscope_\w+)\{", page, re.M))
    assert set(re.findall(r"^# TYPE (\w+) counter", page, re.M)) <= names
    return names, set(re.findall(r'(\w+)="', page))


def expressions(node: object) -> Iterator[str]:
    """Every query in a dashboard, the variables' included."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def check(expression: str, recorded: Set[str] = frozenset()) -> None:
    """Each name of a query is one that there is."""
    names, labels = exported()
    for name in re.findall(r"[\w:]*vmxscope_[\w:]+", expression):
        assert name in names | recorded, f"{name} in {expression}"
    for listed in re.findall(r"\bby \(([^)]*)\)", expression):
        for label in re.findall(r"\w+", listed):
            # Prometheus itself gives each series the label instance.
            assert label in labels | {"instance"}, f"{label} in {expression}"


def test_the_dashboard_asks_for_what_there_is() -> None:
    queries = [query for query in expressions(json.loads(DASHBOARD.read_text(encoding="utf-8")))
               if "vmxscope" in query]
    assert len(queries) > 10
    for query in queries:
        check(query)
    # Every metric is on it, but for what queries of one's own join with.
    shown = set(re.findall(r"vmxscope_\w+", " ".join(queries)))
    assert exported()[0] - shown == {"vmxscope_exit_handling_seconds_sum",
                                     "vmxscope_exit_handling_seconds_count",
                                     "vmxscope_source_info"}


def test_the_rules_ask_for_what_there_is_or_what_they_record() -> None:
    text = RULES.read_text(encoding="utf-8")
    recorded = set(re.findall(r"^ +- record: (\S+)$", text, re.M))
    assert len(recorded) == 4 and text.count("- alert: ") == 4
    code = re.sub(r"^ *#.*$", "", text, flags=re.M)
    for rule in re.split(r"- (?:record|alert): \S+", code)[1:]:
        check(rule, recorded)


def test_prometheus_accepts_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
