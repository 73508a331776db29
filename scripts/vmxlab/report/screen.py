# SPDX-License-Identifier: GPL-2.0
"""Pictures of a terminal's screen: tmux makes the screen, and rich the picture."""

import io
import re
import subprocess
import tempfile
import time

from vmxlab.errors import LabError

LEAVES_THE_SCREEN = b"\x1b[?1049l"


def screen(written: bytes) -> str:
    """What the terminal shows, with its colours as escape sequences."""
    tmux = ["tmux", "-L", f"screen-svg-{time.monotonic_ns()}", "-f", "/dev/null"]
    with tempfile.NamedTemporaryFile() as file:
        file.write(written.partition(LEAVES_THE_SCREEN)[0])
        file.flush()
        command = f"cat '{file.name}'; tmux wait-for -S shown; exec sleep 600"
        subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", command], check=True)
        try:
            subprocess.run([*tmux, "wait-for", "shown"], check=True, timeout=60)
            done = subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True,
                                  stdout=subprocess.PIPE, text=True)
        finally:
            subprocess.run([*tmux, "kill-server"], check=False)
    return done.stdout.rstrip("\n")


def svg(text: str, title: str) -> str:
    """The picture; it fetches no font."""
    try:
        from rich._export_format import CONSOLE_SVG_FORMAT
        from rich.console import Console
        from rich.text import Text
    except ImportError as error:
        raise LabError(str(error), "Debian's package python3-rich has it.") from error
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text), soft_wrap=True)
    local = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.S)
    return str(console.export_svg(title=title, code_format=local, unique_id="screen"))
