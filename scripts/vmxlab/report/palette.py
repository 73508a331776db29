# SPDX-License-Identifier: GPL-2.0
"""The colours of pages and pictures: on a light and a dark screen, and on paper.

Those of series are Okabe's and Ito's, which people tell apart who see colours otherwise.
"""

SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8f98")

LIGHT = {"ink": "#1c2024", "dim": "#62686f", "paper": "#fff", "line": "#d9dce1",
         "yes": SERIES[0]}
DARK = {"ink": "#e6e8eb", "dim": "#9aa1a9", "paper": "#14171a", "line": "#353b42",
        "yes": SERIES[4]}
PRINT = {"ink": "#000", "dim": "#444", "paper": "#fff", "line": "#bbb", "yes": SERIES[0]}


def style(rule: str) -> str:
    """A rule of CSS with the colours by name in braces, for the screens and for paper."""
    return (rule.format(**LIGHT)
            + f"@media(prefers-color-scheme:dark){{{rule.format(**DARK)}}}"
            + f"@media print{{{rule.format(**PRINT)}}}")
