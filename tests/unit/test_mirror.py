# SPDX-License-Identifier: GPL-2.0
"""Which archive packages come from: VMXSCOPE_MIRROR, the machine's own, mmdebstrap's default."""

import re
import subprocess
from pathlib import Path

import pytest

from vmxlab import REPO, mirror
from vmxlab.errors import UNFIT, LabError

# The tool's output, as its own apt sources have it.
MMDEBSTRAP = """\
#!/bin/sh
echo "I: automatically chosen mode: root"
echo "deb http://tool.example/debian trixie main"
echo "deb http://tool.example/debian-security trixie-security main"
exit 1
"""
OURS = ("http://ours.example/debian", "http://ours.example/security")
SOURCES = """\
Types: deb deb-src
URIs: http://machine.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://machine.example/security
Suites: bookworm-security
Components: main
"""
LIST = """\
# deb http://commented.example/debian bookworm main
deb [signed-by=/usr/share/keyrings/k.gpg arch=amd64] http://old.example/debian trixie main
deb http://old.example/debian-security trixie-security main
"""


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An /etc/apt without sources, a mmdebstrap of known answer, and no VMXSCOPE_MIRROR."""
    monkeypatch.delenv("VMXSCOPE_MIRROR", raising=False)
    tool = tmp_path / "bin/mmdebstrap"
    tool.parent.mkdir()
    tool.write_text(MMDEBSTRAP, encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    return folder


def test_vmxscope_mirror_comes_first(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (etc / "sources.list.d/debian.sources").write_text(SOURCES, encoding="ascii")
    monkeypatch.setenv("VMXSCOPE_MIRROR", " ".join(OURS))
    assert mirror.archives("trixie", etc) == OURS
    monkeypatch.setenv("VMXSCOPE_MIRROR", OURS[0])
    assert mirror.archives("trixie", etc) == (OURS[0], "")


@pytest.mark.parametrize(("name", "text", "main", "security"), [
    ("sources.list.d/debian.sources", SOURCES,
     "machine.example/debian", "machine.example/security"),
    ("sources.list", LIST, "old.example/debian", "old.example/debian-security"),
])
def test_the_machines_own_comes_before_the_tools_default(
    etc: Path, name: str, text: str, main: str, security: str
) -> None:
    (etc / name).write_text(text, encoding="ascii")
    assert mirror.archives("trixie", etc) == (f"http://{main}", f"http://{security}")


@pytest.mark.parametrize("text", [
    "", "Types: deb\nURIs: http://other.example/ubuntu\nSuites: noble noble-security\n",
    SOURCES.replace("Types", "Enabled: no\nTypes"),
    SOURCES.replace("deb deb-src", "deb-src").replace("Types: deb\n", "Types: deb-src\n"),
])
def test_a_machine_without_a_debian_archive_gets_mmdebstraps_default(etc: Path, text: str) -> None:
    (etc / "sources.list.d/some.sources").write_text(text, encoding="ascii")
    assert mirror.archives("trixie", etc) == (
        "http://tool.example/debian", "http://tool.example/debian-security")


def test_mmdebstrap_itself_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The tool is a script, in which its default stands.
    monkeypatch.delenv("VMXSCOPE_MIRROR", raising=False)
    program = Path("/usr/bin/mmdebstrap").read_text(encoding="utf-8")
    main, security = mirror.archives("trixie", tmp_path)
    assert re.fullmatch(r"https?://[\w.-]+/debian", main)
    assert security.startswith("http") and security != main
    assert re.sub("https?://", "", main) in program


def test_with_neither_it_says_how_to_name_one(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(etc))
    with pytest.raises(LabError) as raised:
        mirror.archives("trixie", etc)
    assert raised.value.status == UNFIT and "VMXSCOPE_MIRROR" in str(raised.value)


def test_no_registrys_host_is_named_in_the_repository() -> None:
    # Cargo.lock names crates by their index, and a copyright file its format, as both must.
    host = (r"https?://[^/ ]*(debian|ubuntu|pypi|pythonhosted|crates|rust-lang|rustup|npmjs)"
            r"|\b(deb|security|archive|mirror|ftp|static|index|files)\.[a-z.]*"
            r"(debian|ubuntu|pypi|pythonhosted|crates|rust-lang)\.")
    done = subprocess.run(["git", "grep", "-nIE", host, "--", ":!*Cargo.lock",
                           ":!scripts/packaging/copyright", ":!tests/unit/test_mirror.py"],
                          cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
