// SPDX-License-Identifier: GPL-2.0
//! Expect that packages get a page for each command, and completions for each shell.

mod common;

use std::fs;

use clap::CommandFactory;
use common::{failure, printed, Machine};
use vmx_caps::msr::Kind;
use vmx_caps::tables::MSRS;
use vmxscope::args::Cli;

/// All commands but the hidden ones.
fn commands() -> Vec<String> {
    Cli::command()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_string())
        .collect()
}

#[test]
fn each_command_has_a_man_page_with_its_examples() {
    let folder = std::env::temp_dir().join(format!("vmxscope-man-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let words = ["generate", "man", "--into", folder.to_str().unwrap()];
    assert_eq!(printed(&Machine::patched(), &words), "");
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("vmxscope.1").contains("no exit statistics, no VMX"));
    for command in commands() {
        let text = page(&format!("vmxscope-{command}.1"));
        assert!(
            text.starts_with(".ie") && text.contains(".SH OPTIONS"),
            "{command}"
        );
    }
    // Each example has a line of its own.
    let exits = page("vmxscope-exits.1");
    let (_, examples) = exits.split_once(".SH \"EXAMPLES\"\n.nf\n").unwrap();
    assert!(examples
        .lines()
        .any(|line| line.starts_with("\\&  vmxscope exits \\-\\-reason hlt ")));
    assert!(
        exits.contains(".SH \"NOTES\"") && !exits.contains(".SH EXTRA"),
        "{exits}"
    );
    assert!(page("vmxscope.1").contains(".SH \"EXIT STATUS\""));
    assert!(page("vmxscope-caps-need.1").contains("vmxscope\\-caps\\-need"));
    assert!(!folder.join("vmxscope-generate.1").exists());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(failure(&Machine::patched(), &words).0, 5);
}

#[test]
fn each_shell_completes_each_command() {
    for shell in ["bash", "zsh", "fish"] {
        let text = printed(&Machine::patched(), &["generate", shell]);
        for command in commands() {
            assert!(text.contains(&command), "{shell}: {command}");
        }
    }
}

#[test]
fn files_and_commands_are_completed() {
    let zsh = printed(&Machine::patched(), &["generate", "zsh"]);
    for (option, completes) in [
        ("'--from=", "_files"),
        ("'--textfile=", "_files"),
        ("::command ", "_cmdambivalent"),
    ] {
        let found = zsh
            .lines()
            .any(|line| line.contains(option) && line.contains(completes));
        assert!(found, "{option}: {zsh}");
    }
}

#[test]
fn the_markdown_has_every_row_of_every_table() {
    let text = printed(&Machine::patched(), &["generate", "capabilities"]);
    let has = |row: String| assert!(text.contains(&row), "{row}");
    for msr in MSRS {
        has(format!("| {:#x} | {} |", msr.index, msr.name));
        for control in msr.controls() {
            has(format!("| {} | {} |", control.bit, control.name));
        }
        if let Kind::Fields { fields } = msr.kind {
            fields
                .iter()
                .for_each(|field| has(format!("{} | {} |", field.low, field.name)));
        }
    }
    let columns = |line: &str| line.matches('|').count();
    let tables = text.split("\n\n").filter(|block| block.starts_with('|'));
    for table in tables {
        let width = columns(table.lines().next().unwrap());
        assert!(table.lines().all(|line| columns(line) == width), "{table}");
    }
}
