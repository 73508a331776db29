# SPDX-License-Identifier: GPL-2.0
"""A report as one HTML file that needs nothing but itself, light, dark and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from . import palette

STYLE = palette.style(
    ":root{{--ink:{ink};--dim:{dim};--paper:{paper};--line:{line};--yes:{yes}}}") + """
:root { color-scheme: light dark; }
@media print { section, figure { break-inside: avoid; } * { print-color-adjust: exact; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 66rem; background: var(--paper);
 color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
figure { margin: 1rem 0; } figcaption, .dim { color: var(--dim); }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
 vertical-align: top; }
th.w, td.w { text-align: left; } tr.sum td { font-weight: 600; border-bottom: 0; }
td.y { color: var(--yes); text-align: center; } td.n { color: var(--dim); text-align: center; }
pre { overflow-x: auto; }
"""


class Page:
    """A page that is being written."""

    def __init__(self, title: str, about: str) -> None:
        self.title = title
        self.body = [f"<h1>{escape(title)}</h1>", f'<p class="dim">{escape(about)}</p>']

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.body.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph."""
        self.body.append(f"<p>{escape(text)}</p>")

    def points(self, items: list[str]) -> None:
        """A list of sentences."""
        self.body.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")

    def link(self, file: str, text: str) -> None:
        """A link to a file beside the page."""
        self.body.append(f'<p><a href="{escape(file)}">{escape(text)}</a></p>')

    def figure(self, svg: str, caption: str) -> None:
        """A picture, and what it shows."""
        self.body.append(f'<figure><div class="scroll">{svg}</div>'
                         f"<figcaption>{escape(caption)}</figcaption></figure>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], words: int = 1,
              total: bool = False) -> None:
        """A table; the first `words` columns are text, and the last row may be a total."""

        def cell(kind: str, place: int, value: object) -> str:
            mark = {"yes": ' class="y"', "-": ' class="n"'}.get(str(value), "")
            if place < words:
                mark = ' class="w"'
            return f"<{kind}{mark}>{escape(str(value))}</{kind}>"

        def line(kind: str, values: Sequence[object], mark: str = "") -> str:
            cells = "".join(cell(kind, place, value) for place, value in enumerate(values))
            return f"<tr{mark}>{cells}</tr>"

        lines = [line("th", head)]
        for number, row in enumerate(rows, 1):
            last = total and number == len(rows)
            lines.append(line("td", row, ' class="sum"' if last else ""))
        self.body.append('<div class="scroll"><table>' + "\n".join(lines) + "</table></div>")

    def write(self, path: Path) -> Path:
        """Write the page."""
        path.write_text(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(self.body) + "\n</body></html>\n", encoding="utf-8")
        return path
