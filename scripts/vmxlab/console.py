# SPDX-License-Identifier: GPL-2.0
"""What a machine of the lab says: its console, and the messages of its control channel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from .errors import LabError


class Follower:
    """Reads what is appended to a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0

    def read(self) -> bytes:
        """All that came since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                data = file.read()
        except FileNotFoundError:
            return b""
        self.at += len(data)
        return data


class Control:
    """The control channel of L1: messages as lab-files/tohost.c sends them.

    NAME.console is what a nested guest printed, "out" a compressed tar, "exit" a status.
    """

    HEAD = re.compile(rb"\x02([\w.-]+) (\d+)\n")

    def __init__(self, path: Path, out: Path, echo: bool) -> None:
        self.follower, self.rest = Follower(path), b""
        self.out, self.echo = out, echo
        self.archive = b""
        self.status: int | None = None
        self.shown: dict[str, bytes] = {}  # by console, what came of its last line

    def poll(self) -> None:
        """Take in what has come."""
        self.rest += self.follower.read()
        at = 0
        while head := self.HEAD.search(self.rest, at):
            end = head.end() + int(head[2])
            if end > len(self.rest):
                break
            self._take(head[1].decode("ascii"), self.rest[head.end():end])
            at = end
        self.rest = self.rest[at:]

    def _take(self, kind: str, data: bytes) -> None:
        if kind.endswith(".console"):
            with open(self.out / kind, "ab") as console:
                console.write(data)
            if self.echo:
                self._show(kind.removesuffix(".console"), data)
        elif kind == "out":
            self.archive += data
        elif kind == "exit":
            self.status = int(data)

    def _show(self, name: str, data: bytes) -> None:
        """Print the lines that are whole."""
        *lines, self.shown[name] = (self.shown.get(name, b"") + data).split(b"\n")
        emit(b"".join(b"[%s] %s\n" % (name.encode(), line) for line in lines))

    def finish(self) -> None:
        """Print what has no end of its line, and write what L1 left in its /out."""
        for name, line in self.shown.items():
            if line:
                emit(b"[%s] %s\n" % (name.encode(), line))
        if not self.archive:
            return
        folder = self.out / "out"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(["tar", "xz", "--no-same-owner", "-C", folder], input=self.archive,
                              check=False, capture_output=True)
        if done.returncode:
            raise LabError(
                f"what L1 left in /out did not arrive whole: "
                f"{done.stderr.decode(errors='replace').strip()[-400:]}",
                f"{self.out}/control has it as it came.",
            )


def emit(data: bytes) -> None:
    """Print bytes as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
