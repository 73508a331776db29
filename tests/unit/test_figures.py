# SPDX-License-Identifier: GPL-2.0
"""The figures in the documents' tables of exits belong to each other, row by row."""

import re
from pathlib import Path

import pytest

from vmxlab import REPO

COURSE = REPO / "docs/course.md"
# Of the lab's clock, a second.
CYCLES = 50_000_000
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def tables(doc: Path) -> list[list[dict[str, str]]]:
    """The tables that `vmxscope exits` printed: rows by heading, the total last."""
    found = []
    for block in re.findall(r"^```text\n(.*?)^```$", doc.read_text(encoding="utf-8"), re.M | re.S):
        lines = block.splitlines()
        heads = [place for place, line in enumerate(lines) if line.startswith("no.  reason ")]
        for place in heads:
            titles = re.split(r" {2,}", lines[place].strip())
            rows: list[dict[str, str]] = []
            for line in lines[place + 1:]:
                cells = re.split(r" {2,}", line.strip())
                if line.startswith("     All exits"):
                    cells.insert(0, "")
                elif line == "[...]":
                    rows.append({})
                    continue
                rows.append(dict(zip(titles, cells, strict=True)))
                if not cells[0]:
                    break
            found.append(rows)
    return found


def number(text: str) -> int:
    """A number as the program groups it."""
    return int(text.replace(",", ""))


def is_shown(text: str, exact: float) -> bool:
    """Whether a figure of three digits and a unit is that one, rounded."""
    match = re.fullmatch(r"<?([\d.]+)(ns|us|ms|s|%)", text)
    assert match, text
    unit = UNITS.get(match[2], 0.01)
    if text.startswith("<"):
        return exact < float(match[1]) * unit
    decimals = len(match[1].partition(".")[2])
    return abs(float(match[1]) * unit - exact) <= 0.5001 * unit * 10**-decimals


@pytest.mark.parametrize("doc", [REPO / "README.md", COURSE], ids=lambda doc: doc.name)
def test_each_row_of_a_table_of_exits_is_one_reasons(doc: Path) -> None:
    [rows] = tables(doc)
    *rest, total = rows
    whole = {} not in rest
    rest = [row for row in rest if row]
    assert total["reason"] == "All exits" and len(rest) > 5
    for figure in ("exits", "cycles"):
        all_rows = sum(number(row[figure]) for row in rest)
        assert all_rows == number(total[figure]) if whole else all_rows <= number(total[figure])
    share = "cycles" if "of time" in total else "exits"
    title = "of time" if share == "cycles" else "of exits"
    for row in rows:
        if row:
            cycles = number(row["cycles"])
            assert is_shown(row[title], number(row[share]) / number(total[share])), row
            assert is_shown(row["time"], cycles / CYCLES), row
            assert is_shown(row["average"], cycles // number(row["exits"]) / CYCLES), row
    order = [number(row[share]) for row in rest]
    assert order == sorted(order, reverse=True)


def test_the_comparison_of_paging_adds_up_in_both_documents() -> None:
    text = COURSE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ?(\d*) \| ([^|]+?) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.M)
    *reasons, total = [[number(cell) for cell in row[2:]] for row in rows]
    assert rows[-1][1] == "All exits" and len(reasons) > 10
    assert [sum(column) for column in zip(*reasons, strict=True)] == total
    # docs/experiments.md has the totals of the same run.
    told = re.search(r"With EPT it took ([\d,]+) exits, by shadow paging ([\d,]+), and ([\d,]+) on",
                     (REPO / "docs/experiments.md").read_text(encoding="utf-8"))
    assert told and [number(figure) for figure in told.groups()] == total


def test_the_figures_of_the_advice_are_those_of_its_picture() -> None:
    text = (REPO / "docs/experiments.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| .* \| ([\d,]+) \| ([\d,]+) \|$", text, re.M)
    drawn = (REPO / "docs/causes.svg").read_text(encoding="utf-8")
    words = [word for word in re.findall(r">([^<>]+)</text>", drawn)
             if re.fullmatch(r"[a-z-]+|[\d,]+", word)]
    # What is before these words is the key, and the marks of the scale.
    assert len(rows) >= 4 and words[-3 * len(rows):] == [word for row in rows for word in row]
