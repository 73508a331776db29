// SPDX-License-Identifier: GPL-2.0
//! The guest's own exits, read by CPUID with as few exits as can be.
//!
//! A plain [`Reader::snapshot`] asks for every field of every reason. Here only
//! reasons that occurred are asked for more than their count, and of a histogram
//! only the buckets between the smallest and the largest time.

mod causes;
mod pin;
mod second;
mod wanted;

use std::cell::RefCell;
use std::collections::BTreeSet;

use exit_stats::abi::{self, Layout, Role, Selector};
use exit_stats::counters::{slot, SLOTS};
use exit_stats::reader::{CpuidReader, Interface, ProbeError, Reader};
use exit_stats::reason;

use crate::error::{Error, Result};
use crate::platform;
use crate::processor::{Counted, Processor};
use crate::view::{Availability, Bucket, Counter, Row, Scope, View};
use causes::{kept, no_causes};
pub use pin::pin_to;
use pin::release;
pub use wanted::Wanted;

/// How often a snapshot that somebody else replaced is taken anew.
const ATTEMPTS: u32 = 100;

/// The way to this guest's own figures.
pub struct Guest<'a> {
    cpu: &'a Counted<'a>,
    how: How<'a>,
    /// The CPU on which all is read, since a snapshot is one CPU's.
    at: usize,
    /// Reasons that the host said cannot occur: they are not asked for again.
    impossible: RefCell<BTreeSet<u32>>,
    /// The last view of a snapshot: mostly the same reasons have exits in the next.
    last: RefCell<Option<Box<View>>>,
}

enum How<'a> {
    Discovered(Reader<&'a Counted<'a>>),
    Told(Layout),
}

impl<'a> Guest<'a> {
    /// Pins this thread to a CPU, the lowest allowed if none is named, and asks by
    /// the discovery leaf. A `layout` is for hosts without that leaf.
    pub fn open(cpu: &'a Counted<'a>, pin: Option<usize>, layout: Option<Layout>) -> Result<Self> {
        let at = pin_to(cpu, pin)?;
        let how = match (Reader::probe(cpu), layout) {
            (Ok(reader), None) => How::Discovered(reader),
            (Ok(reader), Some(layout)) if reader.interface().layout == layout => {
                How::Discovered(reader)
            }
            (Ok(reader), Some(layout)) => {
                return Err(Error::Usage(format!(
                    "the host says that its layout is {}, not {}: leave --layout out",
                    layout_name(reader.interface().layout),
                    layout_name(layout),
                )))
            }
            (Err(ProbeError::Absent), Some(layout)) => {
                platform::answers_like_counts(cpu, layout)?;
                How::Told(layout)
            }
            (Err(why), _) => return Err(platform::no_statistics(cpu, why)),
        };
        release(cpu)?;
        Ok(Self {
            cpu,
            how,
            at,
            impossible: RefCell::default(),
            last: RefCell::default(),
        })
    }

    /// What the host offers; `None` if it has no discovery leaf.
    pub fn interface(&self) -> Option<&Interface> {
        match &self.how {
            How::Discovered(reader) => Some(reader.interface()),
            How::Told(_) => None,
        }
    }

    /// Reads everything, of one instant if the host can do that.
    pub fn read(&self, wanted: Wanted) -> Result<View> {
        if wanted.causes && !self.interface().is_some_and(|interface| interface.causes) {
            return Err(no_causes());
        }
        pin_to(self.cpu, Some(self.at))?;
        let before = self.cpu.executed();
        let mut view = match &self.how {
            How::Told(layout) => self.read_leaves(*layout),
            How::Discovered(reader) => self.read_reader(reader, wanted)?,
        };
        view.read_exits = self.cpu.executed() - before;
        release(self.cpu)?;
        Ok(view)
    }

    fn read_reader(&self, reader: &Reader<&'a Counted<'a>>, wanted: Wanted) -> Result<View> {
        for _ in 0..ATTEMPTS {
            // An exit is counted when it has been handled, so the one by which
            // the snapshot is taken is not in it.
            let own = self.cpu.executed();
            let taken = reader.take();
            if taken.is_none() && wanted.causes {
                return Err(Error::Unstable(
                    "the host has no memory for a snapshot of the causes: try again later".into(),
                ));
            }
            // Without memory for a snapshot the host answers live figures.
            let Some(view) = self.figures(reader, taken.is_some(), wanted) else {
                continue;
            };
            if taken.is_some() && !adds_up(&view) && !self.impossible.borrow().is_empty() {
                // Another host, after a migration, lets occur what this one did not.
                self.impossible.borrow_mut().clear();
                continue;
            }
            if taken.is_none() || reader.generation() == taken {
                *self.last.borrow_mut() = taken.map(|_| Box::new(view.clone()));
                return Ok(View {
                    own_exits: own,
                    consistent: taken.is_some(),
                    ..view
                });
            }
        }
        Err(Error::Unstable(format!(
            "{} snapshots in turn were replaced while they were read: another program on this \
             CPU reads them too.\nUse another CPU (--cpu N), or end the other reader.",
            ATTEMPTS
        )))
    }

    /// Reads the snapshot, or live; `None` if that was not possible.
    fn figures(
        &self,
        reader: &Reader<&'a Counted<'a>>,
        snapshot: bool,
        wanted: Wanted,
    ) -> Option<View> {
        let interface = reader.interface();
        let mut view = View::new(Scope::Guest, self.cpu.machine(), interface.tsc_khz);
        view.vendor = interface.vendor;
        view.counted_by = Some(if interface.beside {
            Counter::VmxExits
        } else {
            Counter::Kvm
        });
        view.vcpus = self.cpu.cpus().ok().map(|cpus| cpus.len());
        view.instance = Some(reader.instance());
        view.layout = Some(layout_name(interface.layout));
        view.host_scope = interface.host_scope;
        view.counts_only = !wanted.extras && !wanted.histograms;
        let exits = |reason| {
            reader.select(Selector {
                reason,
                field: abi::EXITS,
                snapshot,
            })
        };
        if snapshot && wanted == Wanted::LEAST {
            let last = self.last.borrow();
            let again = last
                .as_ref()
                .and_then(|last| second::read(reader, last, view.clone()));
            if again.is_some() {
                return again;
            }
        }
        // The host may know reasons that this program does not, and the reverse.
        let known = |number: &u32| slot(*number) < SLOTS;
        for number in (0..interface.reasons).filter(known).chain([abi::BEYOND]) {
            let mut row = Row::named(view.vendor, number);
            if self.impossible.borrow().contains(&number) {
                row.state = Some(Availability::NotEnabled);
                view.reasons.push(row);
                continue;
            }
            let Some(count) = exits(number) else { continue };
            if count != 0 {
                row = some_figures(reader, row, snapshot, count, wanted)?;
            }
            if wanted.histograms && row.timed() != 0 && interface.buckets != 0 {
                row.histogram = histogram(reader, &row, snapshot);
            }
            row.state = match (count, number) {
                (1.., _) => Some(Availability::Enabled),
                (0, abi::BEYOND) => continue,
                _ if wanted.states => Some(self.state(reader, number)),
                _ => None,
            };
            view.reasons.push(row);
        }
        let total = Row::named(view.vendor, abi::TOTAL);
        view.total = some_figures(reader, total, snapshot, exits(abi::TOTAL)?, wanted)?;
        view.add_up_histograms();
        if wanted.causes {
            let entries = (0..).map_while(|number| reader.cause(number));
            view.causes = Some(entries.map(|entry| kept(&entry)).collect());
        }
        view.failed_entries = exits(abi::FAILED);
        view.emulated_entries = exits(abi::EMULATED);
        Some(view)
    }

    fn state(&self, reader: &Reader<&'a Counted<'a>>, number: u32) -> Availability {
        let state = reader.state(number).into();
        if state == Availability::NotEnabled {
            self.impossible.borrow_mut().insert(number);
        }
        state
    }

    /// Reads the four leaves only, one after the other.
    fn read_leaves(&self, layout: Layout) -> View {
        let ask = |role, reason| layout.leaf(role).map(|leaf| self.cpu.cpuid(leaf, reason));
        let mut view = View::new(Scope::Guest, self.cpu.machine(), 0);
        view.layout = Some(layout_name(layout));
        view.consistent = false;
        view.counts_only = true;
        view.own_exits = self.cpu.executed();
        let total = ask(Role::Total, 0).unwrap_or_default();
        view.total.exits = total.exits();
        view.total.cycles = ask(Role::TotalCycles, 0).map_or(total.cycles(), |regs| regs.cycles());
        for reason in reason::all() {
            let number = u32::from(reason.number);
            let Some(count) = ask(Role::Exits, number).filter(|regs| regs.edx != u32::MAX) else {
                continue;
            };
            let mut row = Row::named(view.vendor, number);
            row.exits = count.exits();
            if row.exits != 0 {
                row.cycles = ask(Role::Cycles, number).map_or(0, |regs| regs.cycles());
            }
            view.reasons.push(row);
        }
        view
    }
}

fn adds_up(view: &View) -> bool {
    view.reasons.iter().map(|row| row.exits).sum::<u64>() == view.total.exits
}

/// Asks for all figures of a reason that has `exits`, or for its cycles only.
fn some_figures<T: CpuidReader>(
    reader: &Reader<T>,
    mut row: Row,
    snapshot: bool,
    exits: u64,
    wanted: Wanted,
) -> Option<Row> {
    let reason = row.reason;
    if wanted.extras || wanted.histograms {
        let times = reader.times(reason, snapshot)?;
        return Some(
            row.with(reader.figures(reason, snapshot)?)
                .with_times(times),
        );
    }
    row.exits = exits;
    row.cycles = reader.select(Selector {
        reason,
        field: abi::CYCLES,
        snapshot,
    })?;
    Some(row)
}

/// Asks for the buckets that can hold something, until all exits are found.
fn histogram<T: CpuidReader>(reader: &Reader<T>, row: &Row, snapshot: bool) -> Vec<Bucket> {
    let mut found = Vec::new();
    let mut left = row.timed();
    let bucket_of = |cycles: u64| cycles.checked_ilog2().unwrap_or(0);
    let last = bucket_of(row.max).min(reader.interface().buckets.saturating_sub(1));
    for log2 in bucket_of(row.min)..=last {
        if left == 0 {
            break;
        }
        let exits = reader.select(Selector {
            reason: row.reason,
            field: abi::BUCKET + log2,
            snapshot,
        });
        match exits {
            // The host could not keep it: what is known is no histogram.
            None => return Vec::new(),
            Some(0) => (),
            Some(exits) => {
                left = left.saturating_sub(exits);
                found.push(Bucket { log2, exits });
            }
        }
    }
    found
}

/// The name of a layout, as the host's module parameter has it.
pub fn layout_name(layout: Layout) -> String {
    format!("{layout:?}").to_lowercase()
}
