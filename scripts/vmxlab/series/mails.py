# SPDX-License-Identifier: GPL-2.0
"""Writes the series as mails that stand alone: new files are in the patches."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from vmxlab.errors import LabError
from vmxlab.series import COURSE, MISFIT, NewFile, choose, new_files

COVER = """\
Which exits a guest takes, and what they cost, can be told today by tracing,
which is too dear to leave on, needs root on the host, and tells the guest
nothing. Counting every exit by its reason and timing it costs some fifty
instructions if it is done where the exit happens and in memory that only the
vCPU's thread writes. This series does that, in Rust, and shows the figures

- to the guest, of its own VM only, through CPUID leaves,
- to the VMM and to QEMU's query-stats, as linear histograms in KVM's binary
  statistics,
- to the host, in debugfs, per VM and of all VMs.

Patch 1 links the Rust object into kvm.ko, 2 gives every vCPU its counters,
3 tells which reasons are enabled in a VM, 4 and 5 have the hooks of VMX and
SVM, 6 to 8 the three readers, 9 the documentation, 10 a selftest. Each of them
builds. With the option off nothing changes; with kvm.exit_stats=0 the hooks
are patched out.

What was said on the list of statistics by exit reason before, in 2021 and 2024:

- Counts by reason cost memory on each vCPU, so they must be optional. They are:
  by the build, and by a parameter that is read when a VM is made. Without them
  a vCPU is 64 bytes larger; with them it has 4 KiB more, or 16 KiB if histograms
  are wanted as well.
- This is a job for BPF and the tracing subsystem. Where somebody looks for a
  fault of one machine it is, and nothing here replaces it. But a tracer is off
  when the fault happens: attached to each exit it costs two records or 15 to
  96 ns, which nobody leaves on, and for trends across large numbers of machines
  and for triaging failures after the fact it was called useless on this list.
  Counting costs less than reading the clock twice does.
- Statistics are ABI, so each needs a concrete use. Exits and handling cycles by
  reason tell what to tune (which MSR, which device) and whether a change helped.
  Blocked, userspace and scheduled-out time tell a slow KVM from a slow VMM and
  from a crowded host, which one number for all of it cannot. The guest's own
  view serves who rents the machine and has no access to the host.

These hold exactly, and are tested: the sum over the reasons is the number of
kvm_exit trace events, reason by reason; with the entries that failed or were
emulated it is stat.exits; in a snapshot the total is the sum of the reasons.
"""


def new_file_diff(file: NewFile) -> str:
    """A diff that creates a file."""
    lines = file.source.read_text(encoding="utf-8").splitlines(keepends=True)
    body = "".join(f"+{line}" for line in lines)
    if lines and not lines[-1].endswith("\n"):
        body += "\n\\ No newline at end of file\n"
    return (
        f"diff --git a/{file.place} b/{file.place}\nnew file mode 100644\n"
        f"--- /dev/null\n+++ b/{file.place}\n@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


def diffstat(diff: str) -> str:
    """What git prints above a diff."""
    with tempfile.TemporaryDirectory() as top:
        done = subprocess.run(["git", "apply", "--stat", "--summary"], input=diff, text=True,
                              capture_output=True, check=True, cwd=top)
    return done.stdout


def total(diff: str) -> str:
    """The lines that all patches together add and remove, file by file."""
    with tempfile.TemporaryDirectory() as top:
        done = subprocess.run(["git", "apply", "--numstat"], input=diff, text=True,
                              capture_output=True, check=True, cwd=top)
    sums: dict[str, list[int]] = {}
    for line in done.stdout.splitlines():
        added, removed, name = line.split("\t")
        both = sums.setdefault(name, [0, 0])
        both[0] += int(added)
        both[1] += int(removed)
    rows = [f" {name:<44} | +{plus} -{minus}" for name, (plus, minus) in sorted(sums.items())]
    plus, minus = (sum(both[i] for both in sums.values()) for i in (0, 1))
    return "\n".join([*rows, f" {len(sums)} files, +{plus} -{minus}"])


def split(patch: str) -> tuple[str, str]:
    """The mail's header and message, and the diffs."""
    at = patch.index("\ndiff --git ") + 1
    return patch[: patch.rindex("\n---\n", 0, at) + 1], patch[at:].rstrip("\n") + "\n"


def export(kernel: str, out: Path, course: bool = False) -> list[Path]:
    """Write the series and its cover letter; the course's patch, the last, only if asked for."""
    series, files = choose(kernel, "what was asked for"), new_files()
    series = [path for path in series if course or int(path.name[:4]) != COURSE]
    out.mkdir(parents=True, exist_ok=True)
    written, subjects, everything = [], [], ""
    for number, path in enumerate(series, 1):
        head, diff = split(path.read_text(encoding="utf-8"))
        head = re.sub(r"^Subject: \[PATCH (\d+)/\d+\]", rf"Subject: [PATCH \1/{len(series)}]", head,
                      flags=re.M)
        diff += "".join(new_file_diff(file) for file in files if file.patch == number)
        mail = out / path.name
        mail.write_text(f"{head}---\n{diffstat(diff)}\n{diff}-- \n2.39.0\n\n", encoding="utf-8")
        written.append(mail)
        everything += diff
        subject = re.search(r"^Subject: \[PATCH[^]]*\] (.*(?:\n .*)*)", head, re.M)
        subjects.append(" ".join(subject[1].split()) if subject else path.stem)
        last = head
    sender = re.search(r"^From: .*(?:\n .*)*\nDate: .*", last, re.M)
    listing = "\n".join(f"  {subject}" for subject in subjects)
    cover = (
        f"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
        f"{sender[0] if sender else ''}\n"
        f"Subject: [PATCH 0/{len(series)}] KVM: x86: Count and time VM exits by reason\n\n"
        f"{COVER}\nFor Linux {kernel}.\n\n{listing}\n\n{total(everything)}\n\n-- \n2.39.0\n\n"
    )
    (out / "0000-cover-letter.patch").write_text(cover, encoding="utf-8")
    return written


def check(tree: Path, mails: list[Path]) -> None:
    """Apply the mails by git am to a repository made of the tree's own files."""
    names = set()
    for mail in mails:
        names |= set(re.findall(r"^--- a/(\S+)", mail.read_text(encoding="utf-8"), re.M))
    with tempfile.TemporaryDirectory() as top:
        def git(*arguments: str) -> subprocess.CompletedProcess[str]:
            identity = ["-c", "user.name=check", "-c", "user.email=check@localhost"]
            return subprocess.run(["git", *identity, *arguments], cwd=top, text=True,
                                  capture_output=True, check=False)

        for name in sorted(names):
            if (tree / name).exists():
                (Path(top) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(top) / name).write_bytes((tree / name).read_bytes())
        git("init", "-q")
        git("add", "-A", "-f")
        git("commit", "-q", "-m", "as it is")
        done = git("am", "-q", *map(str, mails))
        if done.returncode:
            raise LabError(f"git am fails on {tree}:\n{done.stdout}{done.stderr}".rstrip(),
                           status=MISFIT)
