# SPDX-License-Identifier: GPL-2.0
"""Applies the series to a kernel source tree, and takes it out again.

It is tried on copies first: a tree that it does not fit is left as it was.
What was applied is noted in the tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from vmxlab.errors import LabError
from vmxlab.kernel import tree_version
from vmxlab.series import MISFIT, NewFile, choose, new_files, touched

NOTE = ".vmxscope"


def digest(data: bytes) -> str:
    """The hash by which we know that a file is still as we left it."""
    return hashlib.sha256(data).hexdigest()


def read(path: Path) -> bytes | None:
    """A file's content, or None if there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


class Note:
    """What was applied to a tree: its patches, and hashes of the files that came."""

    def __init__(self, tree: Path) -> None:
        self.folder = tree / NOTE
        try:
            state = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            state = None
        self.there = state is not None
        self.kernel: str = state["kernel"] if state else ""
        self.files: dict[str, str] = state["files"] if state else {}
        names = state["patches"] if state else []
        self.patches = [(self.folder / name).read_text(encoding="utf-8") for name in names]

    def write(self, kernel: str, series: list[Path], files: dict[str, str]) -> None:
        """Note a series as applied; the state comes last and makes it so."""
        self.folder.mkdir(exist_ok=True)
        for path in series:
            shutil.copyfile(path, self.folder / path.name)
        state = {"kernel": kernel, "patches": [path.name for path in series], "files": files}
        replace(self.folder / "state.json", json.dumps(state, indent=1).encode())

    def remove(self) -> None:
        """Forget it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def replace(path: Path, data: bytes) -> None:
    """Write a file in one step, with the mode that it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(data)
    if path.exists():
        shutil.copymode(path, new)
    os.replace(new, path)


def misfit(tree: Path, text: str, said: str, back: bool) -> str:
    """Which patch does not fit which file, and where, from what patch(1) said."""
    lines = text.splitlines()
    subject = next((line for line in lines if line.startswith("Subject: ")), lines[0])
    failed, file = [], ""
    for line in said.splitlines():
        if line.startswith(("patching file ", "checking file ")):
            file = line.split(" ", 2)[2]
        elif line.startswith("Hunk") and "FAILED" in line:
            failed.append(f"  {file}: {line}")
    what = "cannot be taken out of" if back else "does not fit"
    return f"{subject.removeprefix('Subject: ')} {what} {tree}:\n" + "\n".join(failed)


def patched(tree: Path, series: list[str], back: bool) -> dict[str, bytes]:
    """What the files that a series changes look like afterwards; writes nothing to the tree."""
    names = sorted({name for text in series for name in touched(text)})
    with tempfile.TemporaryDirectory(prefix="patch-kernel-") as top:
        copy = Path(top)
        for name in names:
            data = read(tree / name)
            if data is None:
                raise unfit(f"{tree} does not fit: it has no {name}")
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(data)
        for text in reversed(series) if back else series:
            command = ["patch", "-p1", "-F0", "-f", "--no-backup-if-mismatch", "-r", "-"]
            command += ["-R"] if back else []
            done = subprocess.run(command, cwd=copy, input=text, capture_output=True, text=True,
                                  check=False)
            if done.returncode:
                raise unfit(misfit(tree, text, done.stdout, back), "The tree is as it was. " + (
                    "What was changed on top of the series has to go first."
                    if back else "The series is made for Debian's sources."))
        return {name: (copy / name).read_bytes() for name in names}


def put(tree: Path, wanted: dict[str, bytes | None]) -> int:
    """Bring files of the tree to a wanted content (None: absent), all of them or none."""
    before = {name: read(tree / name) for name in wanted}
    changed = [name for name in wanted if wanted[name] != before[name]]
    done: list[str] = []

    def set_to(name: str, data: bytes | None) -> None:
        if data is None:
            (tree / name).unlink(missing_ok=True)
        else:
            replace(tree / name, data)

    try:
        for name in changed:
            done.append(name)
            set_to(name, wanted[name])
    except OSError as error:
        for name in reversed(done):
            set_to(name, before[name])
        raise unfit(
            f"{error.filename or tree} cannot be written: {error.strerror}; "
            "the tree is as it was before",
            "Check the permissions and the free space (df).",
        ) from error
    return len(changed)


def unfit(message: str, hint: str = "") -> LabError:
    """The error for a tree that the series, or this call, does not fit."""
    return LabError(message, hint, MISFIT)


def kernel_of(tree: Path) -> str:
    """The VERSION.PATCHLEVEL of a tree, as series are named by it."""
    try:
        return ".".join(tree_version(tree).split(".")[:2])
    except LabError as error:
        raise unfit(error.message, error.hint) from error


def chosen(tree: Path) -> tuple[str, list[Path]]:
    """The series for a tree."""
    kernel = kernel_of(tree)
    return kernel, choose(kernel, str(tree))


def check_new(tree: Path, files: list[NewFile], note: Note) -> None:
    """Refuse to overwrite what is not ours."""
    for file in files:
        data = read(tree / file.place)
        if data is None or data == file.source.read_bytes():
            continue
        if note.files.get(file.place) != digest(data):
            raise unfit(
                f"{tree}/{file.place} "
                + ("was changed since it was put there" if note.there else "is there already"),
                "Move it away if it is not needed.",
            )


def has_series(tree: Path) -> bool:
    """Whether a series of ours is in the tree, however it came there."""
    return b"KVM_EXIT_STATS" in (read(tree / "arch/x86/kvm/Kconfig") or b"")


def apply_patch(tree: Path, patch: Path) -> None:
    """Apply any other patch."""
    put(tree, dict(patched(tree, [patch.read_text(encoding="utf-8")], back=False)))


def apply(tree: Path) -> str:
    """Apply the series, or bring an older one of ours up to date."""
    kernel, series = chosen(tree)
    note, files = Note(tree), new_files()
    check_new(tree, files, note)
    texts = [path.read_text(encoding="utf-8") for path in series]
    wanted: dict[str, bytes | None] = {}
    if texts != note.patches:
        if not note.there and has_series(tree):
            raise unfit(f"{tree} has the series already, but this script did not apply it",
                        "If it came by git am, git can take it out.")
        base = patched(tree, note.patches, back=True) if note.there else {}
        with tempfile.TemporaryDirectory(prefix="patch-kernel-") as top:
            # An older series is taken out of a copy; the tree sees the sum only.
            copy = Path(top)
            for name in {name for text in texts for name in touched(text)} | set(base):
                data = base.get(name, read(tree / name))
                if data is not None:
                    (copy / name).parent.mkdir(parents=True, exist_ok=True)
                    (copy / name).write_bytes(data)
            try:
                wanted |= base | patched(copy, texts, back=False)
            except LabError as error:
                raise unfit(error.message.replace(str(copy), str(tree)), error.hint) from error
    wanted |= {name: None for name in note.files}
    wanted |= {file.place: file.source.read_bytes() for file in files}
    changed = put(tree, wanted)
    hashes = {file.place: digest(file.source.read_bytes()) for file in files}
    if changed or hashes != note.files or texts != note.patches:
        note.write(kernel, series, hashes)
    return (f"{tree}: Linux {kernel}, {len(series)} patches and {len(files)} new files are applied"
            + (f" ({changed} files written)" if changed else " (nothing to do)"))


def reverse(tree: Path) -> str:
    """Take out what was applied."""
    kernel_of(tree)
    note = Note(tree)
    if not note.there:
        if has_series(tree):
            raise unfit(f"{tree} has the series, but this script did not apply it",
                        "If it came by git am, git can take it out.")
        return f"{tree}: the series is not applied (nothing to do)"
    for name, known in note.files.items():
        data = read(tree / name)
        if data is not None and digest(data) != known:
            raise unfit(f"{tree}/{name} was changed since it was put there",
                        "Save what you need of it, remove it, and call this again.")
    wanted: dict[str, bytes | None] = dict(patched(tree, note.patches, back=True))
    wanted |= {name: None for name in note.files}
    changed = put(tree, wanted)
    for folder in {(tree / name).parent for name in note.files}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    note.remove()
    return f"{tree}: the series is taken out ({changed} files written)"


def status(tree: Path) -> tuple[bool, str]:
    """Say whether the series is applied, and if not, whether it would fit."""
    kernel, series = chosen(tree)
    note = Note(tree)
    texts = [path.read_text(encoding="utf-8") for path in series]
    if note.there:
        current = texts == note.patches and all(
            note.files.get(f.place) == digest(f.source.read_bytes()) for f in new_files())
        patched(tree, note.patches, back=True)
        return True, f"{tree}: Linux {kernel}, applied" + (
            "" if current else ", but an older state of it: apply brings it up to date")
    check_new(tree, new_files(), note)
    patched(tree, texts, back=False)
    return False, f"{tree}: Linux {kernel}, not applied; it fits"
