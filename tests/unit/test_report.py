# SPDX-License-Identifier: GPL-2.0
"""The report in Chromium: whole, quiet, and without anything from elsewhere."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmxlab import REPO

SECTIONS = ("In words", "The most frequent reasons", "The reasons that took the most time",
            "Exits a second", "How long one exit took", "All reasons that occurred")

@dataclass(frozen=True)
class Seen:
    """A page as Chromium had it."""

    dom: str
    console: list[str]
    # What the page asked for besides itself; the browser's own requests have no origin.
    requests: list[str]


def chromium(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run it without a screen and without a network."""
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
         "--enable-logging=stderr", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def look(page: Path) -> Seen:
    """Load a page."""
    log = page.with_suffix(".netlog")
    done = chromium(page.parent, f"--log-net-log={log}", "--dump-dom", page.as_uri())
    net = json.loads(log.read_text(encoding="utf-8"))
    start = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event["params"] for event in net["events"]
             if event["type"] == start and "url" in event.get("params", {})]
    return Seen(done.stdout, re.findall(r".*CONSOLE.*", done.stderr),
                [one["url"] for one in asked if one.get("initiator") != "not an origin"])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two recordings of the model of a guest."""
    folder = tmp_path_factory.mktemp("report")

    def model(*words: str) -> None:
        subprocess.run(["cargo", "run", "--quiet", "--package", "vmxscope", "--example", "model",
                        "--manifest-path", REPO / "Cargo.toml", "--", *words],
                       check=True, cwd=folder, capture_output=True)

    for name in ("before.rec", "after.rec"):
        model("record", "-o", name, "--interval", "100ms", "--duration", "1s")
    model("report", "before.rec", "after.rec", "-o", "report.html")
    return folder / "report.html"


def test_it_shows_every_section_and_asks_for_nothing(page: Path) -> None:
    seen = look(page)
    headings = re.findall("<h2>([^<]*)", seen.dom)
    names = ("before.rec", "after.rec")
    assert headings == ["Side by side", *(f"{section}: {name}" for name in names
                                          for section in SECTIONS)]
    assert seen.dom.count("<svg") >= 6
    assert seen.console == [] and seen.requests == []


def test_a_page_that_does_otherwise_would_be_noticed(page: Path) -> None:
    other = page.with_name("other.html")
    text = page.read_text(encoding="utf-8")
    other.write_text(text.replace("</body>", '<img src="http://elsewhere.invalid/x.png">'
                                  "<script>console.error('no')</script></body>"), encoding="utf-8")
    seen = look(other)
    assert seen.requests == ["http://elsewhere.invalid/x.png"]
    assert any("no" in line for line in seen.console)


def test_it_can_be_printed(page: Path) -> None:
    chromium(page.parent, f"--print-to-pdf={page.with_suffix('.pdf')}", page.as_uri())
    assert page.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
