# SPDX-License-Identifier: GPL-2.0
"""The cache: complete or not there, whoever dies or comes at the same time."""

import errno
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from vmxlab import cache, kernel
from vmxlab.errors import LabError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMXSCOPE_CACHE", str(tmp_path / "cache"))


def write(folder: Path) -> None:
    (folder / "result").write_text("whole")


def test_an_entry_is_built_once() -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        built.append(folder)
        write(folder)

    for _ in range(3):
        folder = cache.entry("kind", "key", build)
    assert (folder / "result").read_text() == "whole"
    assert len(built) == 1


def test_what_a_failed_build_left_is_not_taken_for_a_result() -> None:
    def fail(folder: Path) -> None:
        (folder / "result").write_text("half")
        raise LabError("broken")

    with pytest.raises(LabError):
        cache.entry("kind", "key", fail)
    seen: list[str] = []

    def retry(folder: Path) -> None:
        seen.extend(p.name for p in folder.iterdir())
        write(folder)

    assert (cache.entry("kind", "key", retry) / "result").read_text() == "whole"
    assert seen == [], "a build that cannot resume starts from nothing"


def test_a_build_that_can_resume_finds_what_was_there() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise LabError("interrupted")

    with pytest.raises(LabError):
        cache.entry("kind", "key", fail, resume=True)

    def go_on(folder: Path) -> None:
        (folder / "half").rename(folder / "result")

    cache.entry("kind", "key", go_on, resume=True)


def slow_build(log: Path) -> None:
    def build(folder: Path) -> None:
        with open(log, "a", encoding="ascii") as file:
            file.write("built\n")
        time.sleep(0.3)
        write(folder)

    cache.entry("kind", "key", build)


def killed_build() -> None:
    def build(folder: Path) -> None:
        (folder / "result").write_text("half")
        os.kill(os.getpid(), 9)

    cache.entry("kind", "key", build)


def test_processes_that_want_the_same_build_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [multiprocessing.Process(target=slow_build, args=(log,)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert log.read_text() == "built\n"


def test_a_killed_build_does_not_poison_the_cache(tmp_path: Path) -> None:
    process = multiprocessing.Process(target=killed_build)
    process.start()
    process.join()
    assert process.exitcode == -9
    assert (cache.entry("kind", "key", write) / "result").read_text() == "whole"


def test_a_full_disk_is_told_and_leaves_no_entry() -> None:
    def build(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(LabError, match="is full"):
        cache.entry("kind", "key", build)
    assert (cache.entry("kind", "key", write) / "result").read_text() == "whole"


def test_clean_waits_for_runs_and_leaves_an_empty_cache(capsys: pytest.CaptureFixture[str]) -> None:
    cache.entry("kind", "key", write, what="a thing")
    cache.report()
    assert "a thing" in capsys.readouterr().out
    cache.clean()
    assert [p.name for p in cache.root().iterdir()] == [".in-use"]


def test_the_key_sees_content_names_and_modes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("a")
    keys = {cache.digest(file)}
    file.write_text("b")
    keys.add(cache.digest(file))
    file.chmod(0o755)
    keys.add(cache.digest(file))
    keys.add(cache.digest(file.rename(tmp_path / "other")))
    keys.add(cache.digest([tmp_path / "other"], "x"))
    assert len(keys) == 5


def test_an_option_that_did_not_take_is_an_error(tmp_path: Path) -> None:
    part = tmp_path / "part.config"
    part.write_text("CONFIG_A=y\n# CONFIG_B is not set\n# CONFIG_GONE is not set\n")
    kernel.check_config("CONFIG_A=y\n", [part])
    with pytest.raises(LabError, match=r"CONFIG_A=y .*CONFIG_A is not set"):
        kernel.check_config("# CONFIG_A is not set\n", [part])
    with pytest.raises(LabError, match="CONFIG_B is not set"):
        kernel.check_config("CONFIG_A=y\nCONFIG_B=m\n", [part])


def test_a_later_fragment_overrides_an_earlier_one(tmp_path: Path) -> None:
    one, two = tmp_path / "1.config", tmp_path / "2.config"
    one.write_text("CONFIG_A=y\n")
    two.write_text("# CONFIG_A is not set\n")
    kernel.check_config("", [one, two])


def test_a_folder_that_is_no_kernel_tree_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is not a kernel source tree"):
        kernel.tree_version(tmp_path)
