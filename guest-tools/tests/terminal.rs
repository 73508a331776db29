// SPDX-License-Identifier: GPL-2.0
//! Expect that `watch`, in a real terminal (tmux's), obeys its keys, and gives the
//! terminal back whatever ends it.

mod common;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::host::{host, Folder};

/// Long enough for a busy machine; a screen is there within a second otherwise.
const LIMIT: Duration = Duration::from_secs(180);

/// A terminal of 80 by 24 with a shell's command in it; ends with this.
struct Terminal(String);

impl Terminal {
    /// A shell in a new terminal, which runs this and then shows what it left.
    fn run(name: &str, command: &str) -> Self {
        let terminal = Self(format!("vmxscope-{name}-{}", std::process::id()));
        let command = format!("echo before; {command}; echo status=$?; stty -a; exec cat");
        let words = [
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "sh",
            "-c",
        ];
        terminal.tmux(&[&words[..], &[&command]].concat());
        terminal
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.0]).args(words).env_remove("TMUX");
        let output = command
            .output()
            .expect("tmux runs; `make setup` installs it");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The screen, once it has this text.
    fn until(&self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {text:?} in\n{screen}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The shell is back, its line as it was, with what it printed before.
    fn is_given_back(&self, status: &str) {
        self.until(" echoke");
        let screen = self.tmux(&["capture-pane", "-p", "-S", "-100"]);
        assert!(screen.starts_with("before\n"), "{screen}");
        assert!(screen.contains(&format!("status={status}\n")), "{screen}");
        for mode in ["icanon", "isig", "echo", "opost", "icrnl"] {
            let words: Vec<&str> = screen.split([' ', '\n', ';']).collect();
            assert!(words.contains(&mode), "{mode}: {screen}");
        }
        assert_eq!(
            self.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]),
            "0 1\n"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .args(["-L", &self.0, "kill-server"])
            .output();
    }
}

/// `watch` of the model of a host.
fn watch(name: &str) -> (Terminal, Folder) {
    let folder = host(&format!("terminal-{name}"));
    let (program, root) = (env!("CARGO_BIN_EXE_vmxscope"), folder.0.display());
    let command = format!("{program} watch --interval 100ms --root {root} --vm web1");
    (Terminal::run(name, &command), folder)
}

/// The VM goes on: so many exits more by HLT.
fn halt(folder: &Folder, more: u64) {
    let file = folder.0.join("sys/kernel/debug/kvm/4211-14/exit_stats_raw");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .lines()
        .map(|line| match line.split_once("\tHLT\t150\t") {
            Some((number, rest)) => format!("{number}\tHLT\t{}\t{rest}\n", 150 + more),
            None => match line.split_once("\tTOTAL\t") {
                Some((number, rest)) => {
                    let (exits, rest) = rest.split_once('\t').unwrap();
                    let exits: u64 = exits.parse().unwrap();
                    format!("{number}\tTOTAL\t{}\t{rest}\n", exits + more)
                }
                None => format!("{line}\n"),
            },
        })
        .collect::<String>();
    // At once, for the program reads it at any time.
    let beside = folder.0.join("beside");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, &file).unwrap();
}

#[test]
fn keys_change_the_screen_and_q_gives_the_terminal_back() {
    let (terminal, folder) = watch("keys");
    terminal.until("web1");
    halt(&folder, 500);
    let screen = terminal.until("HLT");
    assert!(screen.contains("500"), "{screen}");
    terminal.keys(&["?"]);
    terminal.until("sort by time, by count, by number");
    terminal.keys(&["?", "p"]);
    terminal.until("PAUSED");
    terminal.keys(&["p", "/", "ept", "Enter"]);
    let deadline = Instant::now() + LIMIT;
    while terminal.until("web1").contains("HLT") {
        assert!(Instant::now() < deadline, "the filter does nothing");
    }
    terminal.tmux(&["resize-window", "-x", "60", "-y", "12"]);
    terminal.until("web1");
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.keys(&["Escape"]);
    terminal.until("HLT");
    terminal.keys(&["q"]);
    terminal.is_given_back("0");
}

#[test]
fn what_is_far_off_a_baseline_is_marked_in_any_width() {
    let folder = host("terminal-baseline");
    let (program, root) = (env!("CARGO_BIN_EXE_vmxscope"), folder.0.display());
    let normal = folder.0.join("normal.json");
    let mut exits = Command::new(program);
    exits.args(["exits", "--vm", "web1", "--json", "--root"]);
    let saved = exits.arg(&folder.0).output().unwrap();
    assert!(saved.status.success(), "{saved:?}");
    std::fs::write(&normal, saved.stdout).unwrap();
    let command = format!(
        "{program} watch --interval 100ms --root {root} --vm web1 --baseline {}",
        normal.display()
    );
    let terminal = Terminal::run("baseline", &command);
    terminal.until("web1");
    // So many that not all columns fit into 60.
    halt(&folder, 5_000_000_000);
    terminal.until("HLT");
    // What tells that it was drawn anew: the bars reach far to the right, and the first
    // column is left out.
    let is_drawn = |width: &str, screen: &str| match width {
        "200" => screen.lines().any(|line| line.chars().count() > 100),
        _ => screen.lines().any(|line| line.starts_with("reason ")),
    };
    for width in ["200", "60"] {
        terminal.tmux(&["resize-window", "-x", width, "-y", "24"]);
        let deadline = Instant::now() + LIMIT;
        let screen = loop {
            let screen = terminal.until("none !");
            if is_drawn(width, &screen) {
                break screen;
            }
            assert!(Instant::now() < deadline, "it stays as wide: {screen}");
        };
        let head = screen
            .lines()
            .find(|line| line.contains("reason "))
            .unwrap();
        assert!(head.contains("  normal  "), "{screen}");
        // After these exits it has none, where the baseline's has one in 29.
        let row = screen.lines().find(|line| line.contains("HLT ")).unwrap();
        assert!(
            row.contains("  5,000,000,000  ") && row.contains("  none !  "),
            "{screen}"
        );
    }
    terminal.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    terminal.keys(&["q"]);
    terminal.is_given_back("0");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let (terminal, _folder) = watch("signal");
    terminal.until("web1");
    let shell = terminal.tmux(&["display", "-p", "#{pane_pid}"]);
    let children = format!("/proc/{0}/task/{0}/children", shell.trim());
    let program = std::fs::read_to_string(children).unwrap();
    assert!(Command::new("kill")
        .arg(program.trim())
        .status()
        .unwrap()
        .success());
    terminal.is_given_back("0");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let this = std::env::current_exe().unwrap();
    let command = format!(
        "RUST_BACKTRACE=0 {} --ignored --exact --nocapture panics_on_its_own_screen >/dev/null 2>&1 </dev/tty >/dev/tty",
        this.display()
    );
    let terminal = Terminal::run("panic", &command);
    let screen = terminal.until(" echoke");
    // The harness' own exit status of a failed test.
    assert!(screen.contains("status=101\n"), "{screen}");
    assert!(screen.contains("test panics_on_its_own_screen"), "{screen}");
    terminal.is_given_back("101");
}

/// Run by the test before, in a terminal.
#[test]
#[ignore = "it is made to fail, for a_panic_gives_the_terminal_back"]
fn panics_on_its_own_screen() {
    let _screen = vmxscope::watch::Screen::take().unwrap();
    panic!("as the test wants it");
}
