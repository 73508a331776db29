// SPDX-License-Identifier: GPL-2.0
//! Expect that `watch` ends when its terminal is gone: by the hang-up itself, with
//! or without SIGHUP, and by a panic that has no screen left to tell of it.

mod common;

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::host::host;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::pty::{grantpt, openpt, ptsname, unlockpt, OpenptFlags};
use rustix::termios::{tcsetwinsize, Winsize};

/// Long enough for a busy machine; a program that spins never ends.
const LIMIT: Duration = Duration::from_secs(120);

/// Both ends of a new terminal.
fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours: OwnedFd = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.to_bytes());
    let theirs = OpenOptions::new().read(true).write(true).open(path);
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).unwrap();
    (ours.into(), theirs.unwrap())
}

/// Starts a command in a new terminal, hangs that up once the command has written
/// `text` there (and `rests`, if so told), and returns how it ended.
fn hung_up(mut command: Command, text: &str, rests: bool) -> ExitStatus {
    let (mut ours, theirs) = terminal();
    let copy = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = command
        .stdin(copy())
        .stdout(copy())
        .stderr(copy())
        .spawn()
        .unwrap();
    drop((command, theirs));
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut wait = [PollFd::new(&ours, PollFlags::IN)];
        let limit = LIMIT.try_into().unwrap();
        assert_ne!(poll(&mut wait, Some(&limit)), Ok(0), "no {text:?}");
        let count = ours.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..count]);
    }
    if rests {
        rest(&child);
    }
    drop(ours);
    end(&mut child)
}

/// Waits until it has waited for a while, by the kernel's word.
fn rest(child: &Child) {
    let deadline = Instant::now() + LIMIT;
    let mut asleep = 0;
    while asleep < 5 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        asleep = if stat.contains(") S ") { asleep + 1 } else { 0 };
        assert!(Instant::now() < deadline, "it never rests: {stat}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How it ends, if it does.
fn end(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it goes on without a terminal");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn watch(mut command: Command, interval: &str, rests: bool) -> ExitStatus {
    let folder = host(&format!("hangup-{interval}-{rests}"));
    command.args(["watch", "--vm", "web1", "--interval", interval, "--root"]);
    command.arg(&folder.0);
    hung_up(command, "web1", rests)
}

#[test]
fn a_terminal_that_is_gone_ends_it_without_any_signal() {
    let program = || Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    // While it waits for a key, and while it draws.
    for (interval, rests) in [("60s", true), ("100ms", false)] {
        let status = watch(program(), interval, rests);
        assert_eq!(status.code(), Some(0), "{interval}: {status}");
    }
}

#[test]
fn a_hang_up_of_its_own_session_ends_it_with_status_0() {
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_vmxscope")]);
    let status = watch(command, "1s", true);
    assert_eq!(status.code(), Some(0), "{status}");
}

#[test]
fn a_panic_without_a_terminal_ends_it_too() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture"]);
    command.arg("panics_without_a_terminal");
    let status = hung_up(command, "\u{1b}[?1049h", true);
    // The harness cannot print its result either: its own affair.
    assert!(!status.success(), "{status}");
}

/// Run by the test before, in a terminal.
#[test]
#[ignore = "it is made to fail, for a_panic_without_a_terminal_ends_it_too"]
fn panics_without_a_terminal() {
    let _screen = vmxscope::watch::Screen::take().unwrap();
    let output = io::stdout();
    let mut terminal = [PollFd::new(&output, PollFlags::empty())];
    poll(&mut terminal, None).unwrap();
    panic!("as the test wants it");
}
