# SPDX-License-Identifier: GPL-2.0
"""Which packages a kernel of Debian's is made of."""

from pathlib import Path

import pytest

from vmxlab import source, tools

# As the archive was on 2026-11-28: an update was under way, and its build tools were there
# before its image.
VERSIONS = {
    "linux-headers-amd64": ["7.3.4-1~bpo13+1", "6.12.118-1", "6.1.192-2"],
    "linux-headers-6.1.0-56-amd64": ["6.1.192-2"],
    "linux-image-6.1.0-56-amd64": ["6.1.192-2"],
    "linux-kbuild-6.1": ["6.1.192-3", "6.1.176-1"],
}
DEPENDS = {
    "linux-headers-amd64": ["linux-headers-6.1.0-56-amd64"],
    "linux-headers-6.1.0-56-amd64": ["linux-kbuild-6.1", "gcc-12"],
    "linux-image-6.1.0-56-amd64": ["kmod", "linux-base"],
}


class Archive:
    """What is asked of apt."""

    def update(self) -> None:
        """The lists are as they are."""

    def versions(self, name: str) -> list[str]:
        """All versions of a package, newest first."""
        return VERSIONS.get(name, [])

    def depends(self, name: str, version: str) -> list[str]:
        """What that version of a package depends on."""
        assert version in VERSIONS[name]
        return DEPENDS.get(name, [])


def test_build_tools_of_the_next_version_serve_while_an_update_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "apt", Archive)
    source._find("6.1", tmp_path)
    assert (tmp_path / "packages").read_text().split() == [
        "6.1.192-2", "6.1.0-56-amd64", "linux-headers-6.1.0-56-amd64=6.1.192-2",
        "linux-image-6.1.0-56-amd64=6.1.192-2", "linux-kbuild-6.1=6.1.192-3"]
