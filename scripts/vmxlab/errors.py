# SPDX-License-Identifier: GPL-2.0
"""The one error that users see: what was wrong, and what to do next."""


class LabError(Exception):
    """A failure of the lab or of a build, never of a test that runs in it.

    `message` says what failed and with which value, `hint` what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message
