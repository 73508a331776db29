# SPDX-License-Identifier: GPL-2.0
"""Pictures as SVG that stands alone: in a page of ours, or in a README.

Each has its own style sheet, so that it suits a light and a dark page.
"""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise

from . import palette
from .palette import SERIES

LINE = 17  # Pixels between two lines of a picture's key.
STYLE = ("<style>text{font:13px system-ui,sans-serif}.g{fill:none}.e{text-anchor:end}"
         ".m{text-anchor:middle}"
         + palette.style("text{{fill:{ink}}}.d{{fill:{dim}}}.g{{stroke:{line}}}") + "</style>")


def document(width: float, height: float, label: str, parts: list[str]) -> str:
    """The whole picture; `label` tells what it shows to who cannot see it."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" role="img" aria-label="{escape(label)}">'
            + STYLE + "\n" + "\n".join(parts) + "\n</svg>\n")


def text(x: float, y: float, words: str, marks: str = "") -> str:
    """A line of text."""
    kind = f' class="{marks}"' if marks else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escape(words)}</text>'


def key(x: float, y: float, series: list[str], right: float = math.inf) -> tuple[list[str], float]:
    """Which colour is what; what would go beyond `right` begins the next line.

    Also returns the height of the lines after the first.
    """
    drawn, left, top = [], x, y
    for place, name in enumerate(series):
        colour = SERIES[place % len(SERIES)]
        if x > left and x + 16 + 7.8 * len(name) > right:
            x, y = left, y + LINE
        drawn.append(f'<rect x="{x:g}" y="{y - 10:g}" width="11" height="11" fill="{colour}"/>')
        drawn.append(text(x + 16, y, name))
        x += 34 + 7.8 * len(name)
    return drawn, y - top


def bars(label: str, series: list[str], rows: list[tuple[str, list[int]]]) -> str:
    """Bars side by side, a group a row, on a logarithmic scale; zero has no bar."""
    left, bar, gap, wide, top = 320, 13, 10, 430, 36
    group = bar * len(series) + gap
    most = max((value for _, values in rows for value in values), default=1)
    decades = max(1, math.ceil(math.log10(max(most, 2))))
    height = top + group * len(rows) + 26
    drawn, _ = key(left, 16, series)
    for power in range(decades + 1):
        x = left + wide * power / decades
        drawn.append(f'<path class="g" d="M{x:g} {top - 6}V{height - 20}"/>')
        drawn.append(text(x, height - 5, f"{10 ** power:,}", "d m"))
    for number, (name, values) in enumerate(rows):
        y = top + group * number
        drawn.append(text(left - 10, y + (group - gap) / 2 + 5, name, "e"))
        for place, value in enumerate(values):
            width = wide * math.log10(value) / decades if value > 1 else 1.5 * (value == 1)
            at = y + bar * place
            drawn.append(f'<rect x="{left}" y="{at:g}" width="{width:.1f}" height="{bar - 2}" '
                         f'fill="{SERIES[place % len(SERIES)]}"/>')
            drawn.append(text(left + width + 6, at + bar - 3, f"{value:,}" if value else "0", "d"))
    return document(left + wide + 90, height, label, drawn)


def over_time(label: str, series: list[tuple[str, list[float]]], times: list[float],
              phases: list[tuple[float, str]]) -> str:
    """Stacked columns over time: a rate an interval, with lines where phases begin.

    `times` are the ends of the intervals, in seconds, and the values are counts in
    them; a phase is its begin and name.
    """
    left, wide, high = 80, 900, 300
    drawn, below = key(left, 16, [name for name, _ in series], left + wide)
    top = 44 + below + 15 * len(phases)
    end = times[-1]
    long = [max(until - begin, 1e-3) for begin, until in pairwise([0.0, *times])]
    sums = [sum(values[i] for _, values in series) / long[i] for i in range(len(times))]
    most = max(*sums, 1)
    for quarter in range(5):
        y = top + high - high * quarter / 4
        drawn.append(f'<path class="g" d="M{left} {y:g}H{left + wide}"/>')
        drawn.append(text(left - 8, y + 4, f"{most * quarter / 4:,.0f}", "d e"))
    begin = 0.0
    for place, until in enumerate(times):
        x, width = left + wide * begin / end, wide * (until - begin) / end
        y = top + high
        for number, (_, values) in enumerate(series):
            tall = high * values[place] / long[place] / most
            y -= tall
            if tall > 0:
                drawn.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width - .5, .5):.1f}" '
                             f'height="{tall:.1f}" fill="{SERIES[number % len(SERIES)]}"/>')
        begin = until
    for place, (at, name) in enumerate(phases):
        x, y = left + wide * at / end, 36 + below + 15 * place
        drawn.append(f'<path class="g" stroke-dasharray="4 3" d="M{x:.1f} {y}V{top + high}"/>')
        side, shift = ("e", -4) if x > left + wide * 0.7 else ("", 4)
        drawn.append(text(x + shift, y + 6, name, side))
    for tick in range(0, int(end) + 1, max(1, round(end / 10))):
        drawn.append(text(left + wide * tick / end, top + high + 18, f"{tick} s", "d m"))
    return document(left + wide + 20, top + high + 26, label, drawn)


def matrix(label: str, columns: list[str], rows: list[tuple[str, list[str]]]) -> str:
    """A field of squares: "1" is drawn full, "0" faint, anything else as a dash."""
    cell, line, top = 78, 17, 40
    left = 20 + 7 * max((len(name) for name, _ in rows), default=0)
    drawn = []
    for place, name in enumerate(columns):
        x = left + cell * place + cell / 2
        for number, word in enumerate(name.split(" ", 1)):
            drawn.append(text(x, 14 + 15 * number, word, "m"))
    for number, (name, values) in enumerate(rows):
        y = top + line * number
        drawn.append(text(left - 10, y + 12, name, "e"))
        for place, value in enumerate(values):
            x = left + cell * place
            if value not in ("0", "1"):
                drawn.append(text(x + cell / 2, y + 12, value or "-", "d m"))
                continue
            look = f'fill="{SERIES[0]}"' if value == "1" else 'class="g"'
            drawn.append(f'<rect x="{x + 4}" y="{y + 2}" width="{cell - 8}" '
                         f'height="{line - 4}" {look}/>')
    return document(left + cell * len(columns) + 10, top + line * len(rows) + 8, label, drawn)
