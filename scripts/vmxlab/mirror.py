# SPDX-License-Identifier: GPL-2.0
"""Where Debian's packages come from: VMXSCOPE_MIRROR, the machine's own apt, or mmdebstrap."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from vmxlab.errors import UNFIT, LabError

KNOWN_SUITE = re.compile(
    r"(old)*(stable|testing)|sid|unstable|bullseye|bookworm|trixie|forky|duke"
)


def archives(release: str, etc: Path = Path("/etc/apt")) -> tuple[str, str]:
    """The Debian archive and its security archive: VMXSCOPE_MIRROR, or the machine's own.

    Where the machine has no Debian archive among its package sources, the one
    that its mmdebstrap would take by default, and its security archive, which may be empty.
    """
    named = os.environ.get("VMXSCOPE_MIRROR", "").split()
    if named:
        return named[0], named[1] if len(named) > 1 else ""
    main = security = ""
    for uri, suites in _machine_sources(etc):
        for suite in suites.split():
            if not KNOWN_SUITE.match(suite) or not re.match(r"https?://|file:|mirror\+", uri):
                continue
            if suite.endswith(("-security", "/updates")):
                security = security or uri
            else:
                main = main or uri
    if not main:
        main, security = _mmdebstraps(release)
    if not main:
        raise LabError(
            "this machine's package sources name no Debian archive",
            'Name one: VMXSCOPE_MIRROR="URL [SECURITY-URL]", as an apt source has it.',
            UNFIT,
        )
    return main, security


def _machine_sources(etc: Path) -> Iterable[tuple[str, str]]:
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    for path in files:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if path.suffix == ".list":
            for line in text.splitlines():
                if entry := re.match(r"deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)", line):
                    yield entry[1].rstrip("/"), entry[2]
        elif path.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                if not re.search(r"^Types:.*\bdeb(?!-)", stanza, re.M | re.I):
                    continue
                uris = re.search(r"^URIs:\s*(\S+)", stanza, re.M | re.I)
                suites = re.search(r"^Suites:\s*(.+)", stanza, re.M | re.I)
                if uris and suites and not re.search(r"^Enabled:\s*no", stanza, re.M | re.I):
                    yield uris[1].rstrip("/"), suites[1]


def _mmdebstraps(release: str) -> tuple[str, str]:
    """The archives that mmdebstrap writes into the sources of a root it makes."""
    if not shutil.which("mmdebstrap"):
        return "", ""
    # The hook runs before anything is fetched, and its failure ends it there.
    show = 'cat "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* 2>/dev/null; exit 1'
    done = subprocess.run(
        ["mmdebstrap", "--mode=chrootless", "--format=null", f"--setup-hook={show}", release,
         "/dev/null"],
        # What a hook prints comes out on standard error.
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    found = [re.search(rf"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+{suite}\s", done.stdout, re.M)
             for suite in (release, f"{release}-security")]
    main, security = (match[1].rstrip("/") if match else "" for match in found)
    return main, security
