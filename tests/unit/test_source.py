# SPDX-License-Identifier: GPL-2.0
"""Kernel sources, from a small Debian archive that each test makes for itself."""

from __future__ import annotations

import errno
import hashlib
import lzma
import re
import shutil
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from debian_archive import Archive, tarball
from vmxlab import debian, source
from vmxlab.errors import LabError, writing


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive(tmp_path / "archive")
    made.add("6.12.117")
    monkeypatch.setattr(debian, "sources", made.sources)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def quiet(_: str) -> None:
    """Says nothing."""


def no_apt(*_: object) -> None:
    raise AssertionError("the archive was asked")


def get(series: str, cache: Path, refresh: bool = False) -> source.KernelSource:
    return source.fetch(series, cache, refresh, quiet)


def test_a_source_is_fetched_and_says_what_it_is(archive: Archive, cache: Path) -> None:
    got = get("6.12", cache)
    assert (got.series, got.version, got.suite) == ("6.12", "6.12.117", "trixie")
    assert got.debian_version == "6.12.117-1~bpo13+1"
    assert got.sha256 == hashlib.sha256(got.tarball.read_bytes()).hexdigest()
    assert tarfile.open(got.tarball).getnames() == ["linux-source/COPYING", "linux-source/Makefile"]
    assert not list(cache.rglob("*.deb")), "the package is not kept beside what was in it"


def test_what_was_fetched_is_used_without_the_archive(
    archive: Archive, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = get("6.12", cache)
    monkeypatch.setattr(debian, "Apt", no_apt)
    assert get("6.12", cache) == first


def test_refresh_finds_a_newer_version_and_only_refresh(archive: Archive, cache: Path) -> None:
    get("6.12", cache)
    archive.add("6.12.118")
    assert get("6.12", cache).version == "6.12.117"
    assert get("6.12", cache, refresh=True).version == "6.12.118"
    assert get("6.12", cache).version == "6.12.118"


def test_a_tarball_cut_short_is_fetched_again(archive: Archive, cache: Path) -> None:
    first = get("6.12", cache)
    whole = first.tarball.read_bytes()
    first.tarball.write_bytes(whole[:100])
    assert get("6.12", cache).tarball.read_bytes() == whole


def test_a_tarball_without_its_record_does_not_count(archive: Archive, cache: Path) -> None:
    first = get("6.12", cache)
    first.tarball.with_name(first.tarball.name + ".json").unlink()
    first.tarball.write_bytes(b"half of")
    assert get("6.12", cache).sha256 == first.sha256


def test_a_package_that_differs_from_the_index_is_refused(archive: Archive, cache: Path) -> None:
    kept = get("6.12", cache)
    new = archive.add("6.12.118")
    data = bytearray(new.read_bytes())
    data[-1] ^= 1
    new.write_bytes(data)
    with pytest.raises(LabError, match="6.12.118.* could not be downloaded"):
        get("6.12", cache, refresh=True)
    assert get("6.12", cache) == kept
    assert not list(cache.rglob("*.deb")) and not list((cache / "sources").glob(".new-*"))


def test_an_index_that_differs_from_its_release_is_refused(archive: Archive, cache: Path) -> None:
    packages = archive.root / "dists/trixie/main/binary-amd64/Packages"
    packages.write_text(archive.index.replace("6.12.117", "6.12.119"))
    with pytest.raises(LabError, match="lists .* cannot be fetched"):
        get("6.12", cache)


def test_an_archive_without_a_signature_is_refused(archive: Archive, cache: Path) -> None:
    archive.trusted = False
    with pytest.raises(LabError, match="(?i)lists .* cannot be fetched: .*not signed"):
        get("6.12", cache)


def test_an_archive_out_of_reach_is_named_with_the_way_out(cache, monkeypatch) -> None:
    monkeypatch.setattr(
        debian,
        "sources",
        lambda *_: "Types: deb\nURIs: http://127.0.0.1:9/debian\nSuites: trixie\nComponents: main\n",
    )
    with pytest.raises(LabError, match="cannot be fetched: .*127.0.0.1") as caught:
        get("6.12", cache)
    assert f"{cache}/sources/linux-source-6.12.tar.xz" in caught.value.hint
    assert "KERNEL_TREE=" in caught.value.hint


def test_a_series_that_is_gone_is_named_with_the_way_out(archive: Archive, cache: Path) -> None:
    with pytest.raises(LabError, match="no Debian suite .* has linux-source-9.9") as caught:
        get("9.9", cache)
    assert f"{cache}/sources/linux-source-9.9.tar.xz" in caught.value.hint


def test_the_second_kernel_is_the_newest_that_can_be_had(archive, cache, monkeypatch) -> None:
    monkeypatch.setattr(source, "supported", lambda: ("6.12", "7.2", "7.3", "7.10"))
    archive.add("7.2.12")
    archive.add("7.3.4")
    assert source.newest_second(cache, say=quiet).version == "7.3.4"


def test_no_second_kernel_at_all_names_each_that_was_tried(archive, cache, monkeypatch) -> None:
    monkeypatch.setattr(source, "supported", lambda: ("6.12", "7.2", "7.3"))
    with pytest.raises(LabError, match=r"linux-source-7.3.*linux-source-7.2"):
        source.newest_second(cache, say=quiet)


def test_the_folders_of_patches_name_the_supported_series(tmp_path: Path) -> None:
    for name in ("7.10", "6.12", "notes"):
        (tmp_path / "patches" / name).mkdir(parents=True)
    assert source.supported(tmp_path) == ("6.12", "7.3", "7.10")


def test_a_tarball_put_there_by_hand_comes_first(archive, cache, monkeypatch) -> None:
    get("6.12", cache)
    monkeypatch.setattr(debian, "Apt", no_apt)
    mine = tarball(cache / "sources/linux-source-6.12.tar.xz", "6.12.200")
    got = get("6.12", cache, refresh=True)
    assert (got.version, got.suite, got.tarball) == ("6.12.200", "local", mine)
    assert get("6.12", cache) == got
    source.discard(got)
    assert mine.exists(), "what the user put there is the user's"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no archive", "cannot be read"),
        (lzma.compress(b"\0" * 10240), "no Makefile"),
        (None, "holds Linux 6.6.1, not 6.12"),
    ],
)
def test_a_wrong_tarball_put_there_by_hand_is_refused(cache, data, message) -> None:
    path = cache / "sources/linux-source-6.12.tar.xz"
    path.parent.mkdir(parents=True)
    tarball(path, "6.6.1") if data is None else path.write_bytes(data)
    with pytest.raises(LabError, match=message):
        get("6.12", cache)


def test_two_runs_at_once_fetch_once(archive: Archive, cache: Path) -> None:
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(source.fetch, "6.12", cache, False, said.append) for _ in range(2)]
    assert runs[0].result() == runs[1].result()
    assert sum(line.startswith("fetching") for line in said) == 1


def test_what_an_interrupted_run_left_is_swept_away(archive: Archive, cache: Path) -> None:
    leftover = cache / "sources/.new-abc"
    leftover.mkdir(parents=True)
    (leftover / "linux-source-6.12_6.12.117.tar.xz").write_bytes(b"half of")
    get("6.12", cache)
    assert not leftover.exists()


def test_a_disk_too_full_for_the_download_says_so_first(archive, cache, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(LabError, match="is full") as caught:
        get("6.12", cache)
    assert "VMXSCOPE_CACHE" in caught.value.hint


def test_a_disk_that_fills_while_writing_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"the disk that holds {re.escape(str(tmp_path))}"):
        with writing(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_cache_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="cannot write to .*/file/cache/sources"):
        get("6.12", tmp_path / "file/cache")


def test_without_apt_the_message_says_what_to_put_where(cache, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LabError, match="no apt") as caught:
        get("6.12", cache)
    assert f"{cache}/sources/linux-source-6.12.tar.xz" in caught.value.hint


def test_what_is_no_series_is_refused(cache: Path) -> None:
    with pytest.raises(LabError, match="'6.12.117' is no kernel series"):
        get("6.12.117", cache)


def test_the_mirror_is_the_machines_own(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://old/debian bookworm main\n"
        "deb [arch=amd64] http://near/debian/ trixie main\n"
        "deb-src http://near/source trixie main\n"
    )
    (tmp_path / "sources.list.d/a.sources").write_text(
        "Types: deb\nURIs: http://off/security\nSuites: trixie-security\nEnabled: no\n\n"
        "Types: deb\nURIs: http://near/security/\nSuites: trixie-security\nComponents: main\n"
    )
    assert debian.machine_mirrors(tmp_path) == ("http://near/debian", "http://near/security")


def test_where_debian_is_not_the_machines_own_its_archive_is_asked(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://archive/ubuntu noble main\n")
    assert debian.machine_mirrors(tmp_path) == (debian.DEFAULT_MIRROR, debian.DEFAULT_SECURITY)
