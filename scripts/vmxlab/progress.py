# SPDX-License-Identifier: GPL-2.0
"""Progress of long steps: one line that moves on a terminal, plain lines elsewhere."""

import os
import sys
import time
from types import TracebackType


class Step:
    """A long step that counts the parts of it that are done, or tells its share.

    On a terminal its line is rewritten about ten times a second; elsewhere a
    line is printed at the start, every 30 seconds, and at the end. The file that
    VMXSCOPE_STEPS names, if any, gets a line `SECONDS<tab>TITLE` for each.
    """

    def __init__(self, title: str, estimate: int = 0, unit: str = "files") -> None:
        self.title, self.estimate, self.unit = title, estimate, unit
        self.count = 0
        self.percent = 0.0
        self.start = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()
        if not self.live:
            self._print(f"{title} ...")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)

    def _line(self) -> str:
        took = time.monotonic() - self.start
        percent = self.percent
        done = f", {self.count:,} {self.unit}" if self.count else ""
        if self.estimate and self.count:
            percent = min(99.0, 100 * self.count / self.estimate)
        line = f"{self.title}: {int(percent):2d}%{done}, {clock(took)}"
        if percent >= 5 and took > 2:
            line += f", about {clock(took * (100 - percent) / percent)} more"
        return line

    def tick(self, count: int = 1) -> None:
        """Count parts that were done, and show it if it is time to."""
        self.count += count
        self._show()

    def share(self, percent: float) -> None:
        """Tell how much of the step is done, and show it if it is time to."""
        self.percent = percent
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self.shown >= (0.1 if self.live else 30):
            self.shown = now
            if self.live:
                self._print(f"\r\x1b[K{self._line()}", end="")
            else:
                self._print(f"  {self._line()}")

    def __enter__(self) -> "Step":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done("failed after" if kind else "done in")

    def done(self, end: str = "done in") -> None:
        """End the step, and say how long it took."""
        took = time.monotonic() - self.start
        clear = "\r\x1b[K" if self.live else ""
        self._print(f"{clear}{self.title}: {end} {took:.1f} s")
        if (log := os.environ.get("VMXSCOPE_STEPS")) and end == "done in":
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{took:.1f}\t{self.title}\n")


def clock(seconds: float) -> str:
    """Seconds as M:SS."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
