// SPDX-License-Identifier: GPL-2.0
//! The screen of all VMs of a host, by rate.

use std::cmp::Reverse;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Paragraph, TableState};
use ratatui::Frame;

use crate::host::Vm;
use crate::table::{self, figures, words, Column};
use crate::units::grouped;
use crate::view::{Counter, View};
use crate::watch::grid::grid;
use crate::watch::keys::Act;

const COLUMNS: [Column; 6] = [
    figures("pid", 3),
    words("name"),
    figures("vcpus", 2),
    figures("exits/s", 0),
    figures("of a CPU", 1),
    words("most time in"),
];

/// A VM, and what the last interval added.
#[derive(Debug, Clone)]
struct Member {
    vm: Vm,
    view: View,
    /// What was added, and its length in seconds; nothing of a VM that is new.
    step: Option<(View, f64)>,
}

impl Member {
    fn rate(&self) -> f64 {
        let step = self.step.as_ref();
        step.map_or(0.0, |(added, seconds)| {
            added.total.exits as f64 / seconds.max(1e-3)
        })
    }

    fn cells(&self) -> Vec<String> {
        let step = self.step.as_ref();
        let share = step.and_then(|(added, seconds)| {
            let handling = added.seconds(added.total.cycles)?;
            Some(format!("{:.1}%", handling / seconds.max(1e-3) * 100.0))
        });
        let dearest = step.and_then(|(added, _)| {
            let rows = added.reasons.iter().filter(|row| row.cycles != 0);
            rows.max_by_key(|row| row.cycles)
        });
        vec![
            self.vm.pid.to_string(),
            self.vm.name.clone(),
            self.vm.vcpus.to_string(),
            grouped(self.rate().round() as u64),
            share.unwrap_or("-".into()),
            dearest.map_or("-".into(), |row| row.name.to_string()),
        ]
    }
}

/// All VMs.
#[derive(Debug, Clone)]
pub struct Fleet {
    interval: Duration,
    counted_by: Counter,
    members: Vec<Member>,
    /// The VM that is marked, by its process; the first until one is chosen.
    chosen: Option<u32>,
}

impl Fleet {
    /// Begins with what there is now.
    pub fn new(counted_by: Counter, vms: Vec<(Vm, View)>, interval: Duration) -> Self {
        let mut fleet = Self {
            interval,
            counted_by,
            members: Vec::new(),
            chosen: None,
        };
        fleet.update(vms);
        fleet
    }

    /// Takes the next views.
    pub fn update(&mut self, vms: Vec<(Vm, View)>) {
        let old = std::mem::take(&mut self.members);
        let member = |(vm, view): (Vm, View)| {
            let before = old.iter().find(|member| member.vm == vm);
            let step = before.and_then(|before| {
                let seconds = view.seconds_after(&before.view);
                Some((view.since(&before.view)?, seconds))
            });
            Member { vm, view, step }
        };
        self.members = vms.into_iter().map(member).collect();
        self.members
            .sort_by_key(|member| (Reverse(member.rate().round() as u64), member.vm.pid));
    }

    /// How often it is read.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    fn place(&self) -> usize {
        let is_chosen = |member: &Member| Some(member.vm.pid) == self.chosen;
        self.members.iter().position(is_chosen).unwrap_or(0)
    }

    fn choose(&mut self, by: isize) {
        let last = self.members.len().saturating_sub(1);
        let place = self.place().saturating_add_signed(by).min(last);
        self.chosen = self.members.get(place).map(|member| member.vm.pid);
    }

    /// Does what a key says.
    pub fn act(&mut self, key: KeyEvent) -> Act {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Char('c') if control => return Act::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            KeyCode::Enter => {
                if let Some(member) = self.members.get(self.place()) {
                    return Act::Open(member.vm.clone());
                }
            }
            _ => (),
        }
        Act::Stay
    }

    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let [head, body, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let rate: f64 = self.members.iter().map(Member::rate).sum();
        let text = format!(
            "vmxscope  {} VMs of this host  {} exits/s  counted by {}",
            self.members.len(),
            grouped(rate.round() as u64),
            self.counted_by
        );
        frame.render_widget(Paragraph::new(text).style(bold), head);
        let rows: Vec<Vec<String>> = self.members.iter().map(Member::cells).collect();
        let widths = table::widths(&COLUMNS, &rows);
        let shown = table::that_fit(&COLUMNS, &widths, Some(body.width.into()));
        let table = grid(&COLUMNS, &rows, &widths, &shown)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let chosen = (!self.members.is_empty()).then(|| self.place());
        let mut state = TableState::new().with_selected(chosen);
        frame.render_stateful_widget(table, body, &mut state);
        let keys = "q end  Up, Down choose  Enter show this VM  Esc back to all";
        let dim = Style::new().add_modifier(Modifier::DIM);
        frame.render_widget(Paragraph::new(keys).style(dim), foot);
    }
}
