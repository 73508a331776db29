# SPDX-License-Identifier: GPL-2.0
"""What `make install` and the Debian packages bring, in folders made for the test."""

import re
import subprocess
from pathlib import Path

from vmxlab import REPO, kernel


def run(*words: object) -> str:
    """A command that has to succeed; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def commands(program: Path) -> list[str]:
    """The subcommands that --help lists."""
    listed = run(program, "--help").split("Commands:")[1].split("Options:")[0]
    return [name for name in re.findall(r"^  (\w+) ", listed, re.M) if name != "help"]


def check_tree(prefix: Path, zsh: str, ending: str) -> None:
    """The program runs, and each command has its page and is completed."""
    program = prefix / "bin/vmxscope"
    assert run(program, "--version").startswith("vmxscope ")
    assert re.search("statically linked|static-pie", run("file", program))
    assert program.stat().st_size < 5 * 1024 * 1024
    found = commands(program)
    assert "exporter" in found and "exits" in found
    pages = {page.name for page in (prefix / "share/man/man1").iterdir()}
    expected = {f"vmxscope-{name}.1{ending}" for name in found} | {f"vmxscope.1{ending}"}
    assert expected <= pages, expected - pages
    for path in ("bash-completion/completions/vmxscope", f"zsh/{zsh}/_vmxscope",
                 "fish/vendor_completions.d/vmxscope.fish"):
        text = (prefix / "share" / path).read_text(encoding="utf-8")
        assert all(name in text for name in found), path
    run("bash", "-n", prefix / "share/bash-completion/completions/vmxscope")


def test_make_install_brings_the_program_its_pages_and_completions(tmp_path: Path) -> None:
    run("make", "-s", "-C", REPO, "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/x")
    check_tree(tmp_path / "opt/x", "site-functions", "")
    assert [path.name for path in tmp_path.iterdir()] == ["opt"]


def test_the_debian_package_of_the_program_needs_nothing_else(tmp_path: Path) -> None:
    package = run(REPO / "scripts/build-deb", "cli", tmp_path).strip()
    assert run("dpkg-deb", "-f", package, "Package", "Architecture") == (
        "Package: vmxscope\nArchitecture: amd64\n")
    assert run("dpkg-deb", "-f", package, "Depends").strip() == ""
    run("dpkg-deb", "-x", package, tmp_path / "tree")
    check_tree(tmp_path / "tree/usr", "vendor-completions", ".gz")
    owners = {line.split()[1] for line in run("dpkg-deb", "-c", package).splitlines()}
    assert owners == {"root/root"}


def test_dkms_builds_the_module_against_debians_headers(tmp_path: Path) -> None:
    package = run(REPO / "scripts/build-deb", "dkms", tmp_path).strip()
    run("dpkg-deb", "-x", package, tmp_path / "tree")
    sources = tmp_path / "tree/usr/src"
    version = run("dpkg-deb", "-f", package, "Version").strip()
    base = kernel.base("debian-6.12")
    state = tmp_path / "dkms"
    state.mkdir()
    folders = ("--dkmstree", state, "--sourcetree", sources, "--installtree", tmp_path / "lib")
    module = ("-m", "vmx_caps", "-v", version)
    run("dkms", "add", *module, *folders)
    run("dkms", "build", *module, "-k", base.version, "--kernelsourcedir", base.headers, *folders)
    built = list(state.rglob("vmx_caps.ko*"))
    assert len(built) == 1, built
    magic = run("/usr/sbin/modinfo", "-F", "vermagic", built[0])
    assert magic.split()[0] == base.version
