# SPDX-License-Identifier: GPL-2.0
"""Progress of long steps: one line that moves on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType


class Step:
    """A long step that counts the parts of it that are done.

    On a terminal its line is rewritten about ten times a second; elsewhere a
    line is printed at the start, every 30 seconds, and at the end.
    """

    def __init__(self, title: str, estimate: int = 0, unit: str = "files") -> None:
        self.title, self.estimate, self.unit = title, estimate, unit
        self.count = 0
        self.start = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()
        if not self.live:
            self._print(f"{title} ...")

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)

    def _line(self) -> str:
        took = time.monotonic() - self.start
        of = f" of about {self.estimate}" if self.estimate >= self.count > 0 else ""
        share = f" {min(99, 100 * self.count // self.estimate):2d}%" if self.estimate else ""
        done = f" {self.count}{of} {self.unit}" if self.count else ""
        return f"{self.title}:{share}{done}, {int(took) // 60}:{int(took) % 60:02d}"

    def tick(self, count: int = 1) -> None:
        """Count parts that were done, and show it if it is time to."""
        self.count += count
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
        took = time.monotonic() - self.start
        end = "failed after" if kind else "done in"
        clear = "\r\x1b[K" if self.live else ""
        self._print(f"{clear}{self.title}: {end} {took:.1f} s")
