// SPDX-License-Identifier: GPL-2.0
//! What keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::host::Vm;
use crate::watch::model::Model;

/// The keys, for the help.
pub(super) const HELP: [(&str, &str); 11] = [
    ("q, Ctrl-C", "end"),
    ("Up, Down", "choose a reason: its histogram is shown"),
    ("s", "sort by time, by count, by number"),
    ("v", "each vCPU of a host's VM, and what it does"),
    ("c", "what made the exits, if the host keeps that"),
    ("p, Space", "pause, and go on"),
    ("r", "reset: count from now on"),
    (
        "/",
        "show only reasons whose name has this in it; Esc shows all",
    ),
    ("+, -", "read less often, more often"),
    ("?, h", "this help"),
    ("Esc", "close the help, or empty the filter"),
];

/// Whether to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Go on.
    Stay,
    /// End.
    Quit,
    /// Show this VM.
    Open(Vm),
    /// Show all VMs again.
    Back,
}

/// Does what a key says.
pub fn act(model: &mut Model, key: KeyEvent) -> Act {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Act::Quit;
    }
    let (_, typing) = model.filter();
    if typing {
        match key.code {
            KeyCode::Enter => model.type_filter(false),
            KeyCode::Esc => {
                model.filter_mut().clear();
                model.type_filter(false);
            }
            KeyCode::Backspace => {
                model.filter_mut().pop();
            }
            KeyCode::Char(c) => model.filter_mut().push(c),
            _ => (),
        }
        return Act::Stay;
    }
    match key.code {
        KeyCode::Char('q') => return Act::Quit,
        KeyCode::Esc if model.help() => model.toggle_help(),
        KeyCode::Esc => model.filter_mut().clear(),
        KeyCode::Char('?' | 'h') => model.toggle_help(),
        KeyCode::Char('s') => model.next_sort(),
        KeyCode::Char('p' | ' ') => model.pause(),
        KeyCode::Char('v') => model.table.toggle_vcpus(),
        KeyCode::Char('c') => model.table.toggle_causes(),
        KeyCode::Char('r') => model.reset(),
        KeyCode::Char('/') => model.type_filter(true),
        KeyCode::Char('+') => model.change_interval(2.0),
        KeyCode::Char('-') => model.change_interval(0.5),
        KeyCode::Down | KeyCode::Char('j') => model.choose(1),
        KeyCode::Up | KeyCode::Char('k') => model.choose(-1),
        KeyCode::PageDown => model.choose(10),
        KeyCode::PageUp => model.choose(-10),
        _ => (),
    }
    Act::Stay
}
