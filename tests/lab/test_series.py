# SPDX-License-Identifier: GPL-2.0
"""Our KVM series on clean trees: put on, taken out, refused, exported, checked."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import REPO
from vmxlab import series, source
from vmxlab.series import tree as patching


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """One of the Makefile's targets, as the README calls it."""
    command = ["make", "-s", *words]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)


def content(tree: Path) -> dict[str, bytes]:
    """Every file of a tree."""
    files = (path for path in tree.rglob("*") if path.is_file())
    return {str(path.relative_to(tree)): path.read_bytes() for path in files}


@pytest.fixture(scope="module", params=series.supported())
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Debian's sources what the series and checkpatch look at."""
    top = tmp_path_factory.mktemp("sources") / "linux"
    patches = series.patches(request.param)
    names = {name for path in patches for name in series.touched(path.read_text())}
    checkpatch = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")
    source.unpack(source.tarball(request.param), top, "Makefile", *sorted(names),
                  *(f"scripts/{name}" for name in checkpatch))
    return top


@pytest.fixture
def tree(stock: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(stock, tmp_path / "linux"))


def test_it_goes_on_and_out_and_leaves_the_tree_as_it_was(tree: Path) -> None:
    clean = content(tree)
    assert make("patch", f"KERNEL_TREE={tree}").returncode == 0
    patched = content(tree)
    for file in series.new_files():
        assert patched[file.place] == file.source.read_bytes()
    assert "KVM_EXIT_STATS" in (tree / "arch/x86/kvm/Kconfig").read_text()
    again = make("patch", f"KERNEL_TREE={tree}")
    assert again.returncode == 0 and "nothing to do" in again.stdout
    assert content(tree) == patched
    assert make("unpatch", f"KERNEL_TREE={tree}").returncode == 0
    assert content(tree) == clean
    assert "nothing to do" in make("unpatch", f"KERNEL_TREE={tree}").stdout


def refused(tree: Path, *told: str) -> None:
    """The series is refused, with these words, and nothing is changed."""
    before = content(tree)
    done = subprocess.run([REPO / "scripts/patch-kernel", "apply", tree], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 1
    assert all(word in done.stderr for word in told), done.stderr
    assert content(tree) == before


def test_a_tree_that_it_does_not_fit_is_refused_and_left_alone(tree: Path) -> None:
    vmx = tree / "arch/x86/kvm/vmx/vmx.c"
    vmx.write_text(vmx.read_text().replace("vcpu", "v_cpu"))
    refused(tree, "does not fit", "arch/x86/kvm/vmx/vmx.c: Hunk", "The tree is as it was")


def test_a_file_of_somebody_elses_is_not_overwritten(tree: Path) -> None:
    own = tree / series.new_files()[0].place
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("mine\n")
    refused(tree, str(own), "is there already")


def test_another_version_or_no_kernel_at_all_is_refused(tree: Path, tmp_path: Path) -> None:
    makefile = tree / "Makefile"
    makefile.write_text(re.sub(r"^VERSION = .*$", "VERSION = 5", makefile.read_text(), flags=re.M))
    refused(tree, "is Linux 5.", "There is one for: 6.12, 7.3")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is not a kernel source tree")


def test_the_exported_series_stands_alone_and_is_clean_by_checkpatch(
    stock: Path, tree: Path, tmp_path: Path
) -> None:
    version, out = patching.kernel_of(stock), tmp_path / "mails"
    subprocess.run([REPO / "scripts/export-series", "--kernel", version, "--check", stock, out],
                   check=True, capture_output=True)
    mails = sorted(out.glob("*.patch"))
    assert mails[0].name.startswith("0000-cover-letter") and len(mails) == 12
    # By git am, as somebody would take them from the list.
    env = os.environ | {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org",
                        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "clean"],
                  ["am", "-q", *map(str, mails[1:])]):
        subprocess.run(["git", *words], cwd=tree, env=env, check=True, capture_output=True)
    for file in series.new_files():
        if file.patch != series.COURSE:
            assert (tree / file.place).read_bytes() == file.source.read_bytes()
    command = ["perl", "scripts/checkpatch.pl", "--no-tree", "--strict", "--terse",
               *map(str, mails[1:])]
    checked = subprocess.run(command, cwd=stock, capture_output=True, text=True, check=False)
    said = [line for line in checked.stdout.splitlines() if re.search(r"ERROR|WARNING|CHECK", line)]
    # Whose name would be in MAINTAINERS is not ours to write.
    assert [line for line in said if "does MAINTAINERS need updating" not in line] == []
    assert "lines checked" in checked.stdout


def test_make_export_series_writes_where_it_is_told(tmp_path: Path) -> None:
    done = make("export-series", f"OUT={tmp_path}/series")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "series").glob("*.patch"))) == 12


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["patch"], 2, "not a kernel source tree"),
        (["kvm", "KDIR=/nowhere"], 2, "/nowhere is not a folder"),
        (["kvm", "KDIR=/usr"], 2, "/usr is neither a kernel's headers nor a built tree"),
        (["module", "KDIR=/nowhere"], 2, "/nowhere is not a kernel build tree"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(words: list[str], status: int, told: str) -> None:
    done = make(*words)
    assert (done.returncode, told in done.stderr) == (status, True), done.stderr
