# SPDX-License-Identifier: GPL-2.0
"""How the lab is called, and what is known of a run; in place of the lab is a small program."""

from pathlib import Path

import pytest

from vmxlab import machine
from vmxlab.errors import LabError

# Leaves its words, and its scripts as they were, as a run leaves files.
INSTEAD = """\
#!/bin/sh
while [ "$1" != --out ]; do shift; done
mkdir -p "$2/out"
echo "$@" >"$2/out/words"
echo "$SETTING" >"$2/out/setting"
for word; do case $word in */l[12]) cat "$word" >"$2/out/${word##*/}" ;; esac; done
echo "what L1 said" >"$2/l1.console"
echo "lab: why" >&2
exit "${STATUS:-0}"
"""


@pytest.fixture(autouse=True)
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have that program called."""
    (tmp_path / "scripts").mkdir()
    program = tmp_path / "scripts/lab"
    program.write_text(INSTEAD, encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(machine, "REPO", tmp_path)


def test_a_script_is_a_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "l2"
    file.write_text("exit 4\n", encoding="ascii")
    out = tmp_path / "run"
    run = machine.lab(out, "--cpus", 2, l1="echo text\n", l2=file, env={"SETTING": "on"})
    words = run.file("words").split()
    assert words[:4] == ["--out", str(out), "--cpus", "2"]
    assert words[4] == "--l1" and words[6:] == ["--l2", str(file)]
    assert run.file("l1") == "echo text\n" and run.file("l2") == "exit 4\n"
    assert run.file("setting") == "on\n"


def test_a_run_has_its_consoles_and_its_files(tmp_path: Path) -> None:
    run = machine.lab(tmp_path / "run")
    assert (run.status, run.l1, run.l2) == (0, "what L1 said\n", "")
    assert run.checked() is run
    assert run.file("words") == f"--out {tmp_path}/run\n"
    with pytest.raises(FileNotFoundError):
        run.file("nothing")


def test_a_run_that_failed_says_what_was_said_and_where_its_files_are(tmp_path: Path) -> None:
    run = machine.lab(tmp_path / "run", env={"STATUS": "3"})
    assert run.status == 3
    with pytest.raises(LabError) as raised:
        run.checked()
    for said in ("status 3", "what L1 said", "lab: why", f"{tmp_path}/run"):
        assert said in str(raised.value)
