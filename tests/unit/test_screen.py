# SPDX-License-Identifier: GPL-2.0
"""The picture of a screen shows that screen, and fetches nothing."""

import html
import re
import subprocess
from pathlib import Path

from vmxlab import REPO


def shown(picture: str) -> str:
    """The text of a picture, without its spaces."""
    return "".join(html.unescape("".join(re.findall(r"<text[^>]*>([^<]*)", picture))).split())


def test_what_was_written_before_the_screen_was_left_is_drawn(tmp_path: Path) -> None:
    written = tmp_path / "written"
    written.write_bytes(b"\x1b[?1049h\x1b[H\x1b[1mfirst\x1b[22m <row>"
                        b"\x1b[3;1Hthird\x1b[?1049lafter")
    done = subprocess.run([REPO / "scripts/screen-svg", written, "a title"], capture_output=True,
                          text=True, check=True)
    assert "first<row>third" in shown(done.stdout)
    assert "after" not in done.stdout and "a&#160;title" in done.stdout.replace(" ", "&#160;")


def test_the_committed_picture_is_one_and_names_no_other_file() -> None:
    picture = (REPO / "docs/watch.svg").read_text(encoding="utf-8")
    assert "vmxscopel2" in shown(picture)
    # One names SVG itself, the other who drew it, in a comment.
    addresses = re.findall(r"https?://[^\s\"<>]+", picture)
    assert set(addresses) <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", picture)
