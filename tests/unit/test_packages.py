# SPDX-License-Identifier: GPL-2.0
"""What `make install` and the Debian packages bring, in folders made for the test."""

import os
import re
import subprocess
from pathlib import Path

import pytest

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


@pytest.fixture(name="dkms", scope="module")
def _dkms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources that the package of the modules brings, unpacked."""
    top = tmp_path_factory.mktemp("dkms")
    package = run(REPO / "scripts/build-deb", "dkms", top).strip()
    assert run("dpkg-deb", "-f", package, "Package") == "vmxscope-dkms\n"
    run("dpkg-deb", "-x", package, top / "tree")
    return next((top / "tree/usr/src").glob("vmxscope-*"))


@pytest.mark.parametrize("base", ["debian-6.1", "debian-6.12", "debian-7.3"])
def test_dkms_builds_both_modules_against_debians_headers_without_rust(
    dkms: Path, tmp_path: Path, base: str
) -> None:
    headers = kernel.base(base)
    state = tmp_path / "dkms"
    state.mkdir()
    folders = ("--dkmstree", state, "--sourcetree", dkms.parent, "--installtree",
               tmp_path / "lib")
    module = ("-m", "vmxscope", "-v", dkms.name.removeprefix("vmxscope-"))
    # A rustc that fails: the modules must not need one.
    (tmp_path / "rustc").write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    (tmp_path / "rustc").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for words in (("add", *module), ("build", *module, "-k", headers.version,
                                     "--kernelsourcedir", headers.headers)):
        command = ["dkms", *map(str, (*words, *folders))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (log,) = state.rglob("make.log")
    warned = [line for line in log.read_text(encoding="utf-8").splitlines()
              if "warning:" in line and "the compiler differs" not in line]
    assert not warned
    for name in ("vmx_caps", "vmx_exits"):
        built = list(state.rglob(f"{name}.ko*"))
        assert len(built) == 1, built
        assert run("/usr/sbin/modinfo", "-F", "vermagic", built[0]).split()[0] == headers.version


def test_the_rust_in_the_package_is_what_its_sources_compile_to(
    dkms: Path, tmp_path: Path
) -> None:
    run("make", "-s", "-C", dkms, "-f", "src/core.mk", f"OUT={tmp_path}")
    brought = sorted((dkms / "target/prebuilt").iterdir())
    assert [path.name for path in brought] == ["exit_stats.prebuilt", "vmx_caps.prebuilt"]
    for path in brought:
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
