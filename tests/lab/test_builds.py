# SPDX-License-Identifier: GPL-2.0
"""What `make kvm` and `make module` build, with which options, and that nothing warns."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import REPO, second_kernel
from vmxlab import kernel, toolchain

# What a configuration changes, by name: of whole kernels, so only KVM's folder is built.
CONFIGURATIONS = {
    "off": ["-d", "KVM_EXIT_STATS"],
    "built-in": ["-e", "KVM", "-e", "KVM_INTEL", "-e", "KVM_AMD"],
    "hyper-v": ["-e", "HYPERV", "-e", "KVM_HYPERV"],
    "no-hyper-v": ["-d", "KVM_HYPERV"],
    "smm": ["-e", "KVM_SMM"],
    "no-smm": ["-d", "KVM_SMM"],
    "tdx": ["-e", "INTEL_TDX_HOST", "-e", "KVM_INTEL_TDX"],
    "no-tdx": ["-d", "KVM_INTEL_TDX"],
    "no-debugfs": ["-d", "DEBUG_FS"],
    "no-tracepoints": ["-d", "FTRACE"],
}


def series_of(name: str) -> str:
    """The kernel's series that a parameter means."""
    return second_kernel() if name == "second" else name


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Copies of patched, built trees, made as they are asked for."""
    made: dict[str, Path] = {}
    yield made
    for tree in made.values():
        shutil.rmtree(tree)


@pytest.fixture
def tree(trees: dict[str, Path], series: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the patched tree of that series."""
    name = series_of(series)
    if name not in trees:
        trees[name] = tmp_path_factory.mktemp("build") / "linux"
        subprocess.run(["cp", "-a", "--reflink=auto", kernel.get(name, True).tree, trees[name]], check=True)
    return trees[name]


def build(tree: Path, *words: str) -> str:
    """Build in a tree, and return all that was said."""
    command = ["make", f"LLVM={toolchain.llvm()}", f"-j{toolchain.jobs()}", *words]
    done = subprocess.run(command, cwd=tree, env=toolchain.make_env(), capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def warnings(said: str) -> list[str]:
    """What the compilers and clippy warned of in files of ours."""
    return re.findall(r"^.*exit_stats.*(?:warning|error).*$|^warning.*\n.*-->.*exit_stats.*$", said, re.M)


@pytest.mark.matrix
@pytest.mark.parametrize("series", ["6.12"])
def test_make_kvm_builds_only_kvms_modules(series: str, tree: Path) -> None:
    for name in ("kvm", "kvm-intel", "kvm-amd"):
        (tree / f"arch/x86/kvm/{name}.ko").unlink()
    image = (tree / "arch/x86/boot/bzImage").stat().st_mtime_ns
    done = subprocess.run(["make", "-s", "kvm", f"KDIR={tree}"], cwd=REPO, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"insmod {tree}/arch/x86/kvm/kvm-intel.ko" in done.stdout
    for name in ("kvm", "kvm-intel", "kvm-amd"):
        assert (tree / f"arch/x86/kvm/{name}.ko").exists()
    assert (tree / "arch/x86/boot/bzImage").stat().st_mtime_ns == image


@pytest.mark.matrix
@pytest.mark.parametrize("series", ["6.12", "second"])
def test_no_file_of_ours_warns_with_w_1_and_clippy(series: str, tree: Path) -> None:
    ours = [p for p in (tree / "arch/x86/kvm").rglob("exit_stats*.[ch]")]
    ours += [*(tree / "arch/x86/kvm/exit_stats").glob("*.rs")]
    assert len(ours) > 10
    for path in ours:
        path.touch()
    said = build(tree, "W=1", "CLIPPY=1", "arch/x86/kvm/")
    assert "exit_stats" in said and warnings(said) == []
    # No way leads to a panic: the object names no function that would be called for one.
    symbols = subprocess.run(["nm", "-u", tree / "arch/x86/kvm/exit_stats/exit_stats.o"],
                             check=True, capture_output=True, text=True).stdout
    assert not re.search(r"panic|alloc|_print", symbols), symbols


@pytest.mark.matrix
@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("series", ["6.12", "second"])
def test_it_builds_with_each_configuration(series: str, tree: Path, name: str) -> None:
    config, kept = tree / ".config", tree / ".config.kept"
    shutil.copy(config, kept)
    try:
        subprocess.run(["scripts/config", *CONFIGURATIONS[name]], cwd=tree, check=True)
        build(tree, "-s", "olddefconfig")
        now = set(config.read_text().splitlines())
        wanted = re.findall(r"-([ed]) (\w+)", " ".join(CONFIGURATIONS[name]))
        missed = [option for how, option in wanted
                  if how == "e" and f"CONFIG_{option}=y" not in now
                  or how == "d" and f"CONFIG_{option}=y" in now]
        if missed:
            pytest.skip(f"this kernel does not take {', '.join(missed)}")
        build(tree, "-s", "prepare")
        said = build(tree, "W=1", "arch/x86/kvm/")
        assert warnings(said) == []
        assert ("exit_stats" in said) == (name != "off")
    finally:
        shutil.copy(kept, config)
        build(tree, "-s", "olddefconfig")


def test_make_module_builds_it_against_a_tree_and_cleans_up(tmp_path: Path) -> None:
    clone, tree = tmp_path / "vmxscope", kernel.get("6.12").tree
    subprocess.run(["git", "clone", "-q", REPO, clone], check=True)
    clean = sorted(path.name for path in clone.iterdir())
    subprocess.run(["make", "-s", "module", f"KDIR={tree}"], cwd=clone, check=True, env=toolchain.make_env(),
                   capture_output=True)
    info = subprocess.run(["/usr/sbin/modinfo", clone / "vmx_caps.ko"], check=True, capture_output=True,
                          text=True).stdout
    assert re.search(r"^license: +GPL", info, re.M) and re.search(r"^vermagic: +6\.12\.", info, re.M)
    subprocess.run(["make", "-s", "module-clean", f"KDIR={tree}"], cwd=clone, check=True,
                   env=toolchain.make_env(), capture_output=True)
    assert sorted(path.name for path in clone.iterdir()) == clean
