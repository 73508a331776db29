// SPDX-License-Identifier: GPL-2.0
//! `vmxscope causes`: what made the exits, and what to do about it.

pub mod advice;
pub mod folded;
mod kept;
pub mod mappings;
pub mod model;
pub mod names;
pub mod ranges;
mod reasons;
pub mod show;
pub mod symbols;

use std::cmp::Reverse;
use std::time::Instant;

use exit_stats::reader::CpuidReader;

use crate::args::{CausesArgs, ExitsArgs, GuestFiles};
use crate::child::Events;
use crate::error::{status, Error, Result};
use crate::guest::Wanted;
use crate::host::Host;
use crate::input::read;
use crate::names::number;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::source::{root, Source, SourceArgs};
use crate::tracing::{self, wait, Until, What};
use crate::view::{Sort, View};
use model::{Cause, Causes};
use names::Names;

/// Runs the command; the status is that of the command that was run meanwhile.
///
/// # Errors
///
/// Files that are not understood; what the host lacks, or what it refuses.
pub fn run(args: &CausesArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    // Before anything is counted: a file that cannot be read would lose it all.
    let mut names = Names::read(&args.files)?;
    if args.from.is_none() && args.source.is_this_guest() {
        names.add_own(&args.files);
    }
    let (causes, status) = match &args.from {
        Some(file) => {
            let causes = Causes::parse(&read(file)?, &file.display().to_string())?;
            (causes, status::OK)
        }
        None => count(args, processor, &mut names)?,
    };
    if let Some(what) = args.folded {
        folded::print(&causes, what, &names, out)?;
    } else if args.form.json {
        show::json(&causes, &names, out)?;
    } else if args.form.csv {
        show::csv(&causes, &names, out)?;
    } else if args.form.prometheus {
        show::prometheus(&causes, args.top, &names, out)?;
    } else {
        show::tables(&causes, args.top, &names, out)?;
    }
    Ok(status)
}

/// How many causes, and places, are shown beside other figures.
pub const SHOWN: usize = 20;

/// Shows what made exits beside the figures of another command.
pub struct Beside(pub Names);

impl Beside {
    /// With this guest's own names, if the figures are its own.
    ///
    /// # Errors
    ///
    /// None: the tables that are built in are read by a test.
    pub fn new(own: bool) -> Result<Self> {
        let files = GuestFiles::default();
        let mut names = Names::read(&files)?;
        if own {
            names.add_own(&files);
        }
        Ok(Self(names))
    }

    /// Prints the tables of a view, which is of so many `seconds`, or of its VM's life.
    pub fn tables(&self, view: &View, seconds: Option<f64>, out: &mut Output<'_>) -> Result<()> {
        let causes = Causes::of(view, seconds).ok_or_else(kept::none)?;
        show::tables(&causes, SHOWN, &self.0, out)
    }

    /// Prints a view's causes as metrics, which are bounded.
    pub fn metrics(&self, view: &View, seconds: Option<f64>, out: &mut Output<'_>) -> Result<()> {
        let causes = Causes::of(view, seconds).ok_or_else(kept::none)?;
        show::causes_prometheus(&causes, SHOWN, &self.0, out)
    }
}

/// What was counted since the VM began, or while a command runs or for a time.
fn count(args: &CausesArgs, processor: &dyn Processor, names: &mut Names) -> Result<(Causes, u8)> {
    let root = root(args.source.root.as_deref());
    let until = match args.command.as_slice() {
        [] => Until::Time(args.duration),
        command => Until::Command(command),
    };
    if args.source.host {
        return tracing::count(root, What::Causes, until);
    }
    let cpu = Counted::new(processor);
    let source = Source::open(&args.source, &cpu)?;
    let wanted = Wanted {
        causes: true,
        ..Wanted::FIGURES
    };
    let before = source.read(wanted)?;
    let (view, seconds, status) = match until {
        Until::Time(None) => (before, None, status::OK),
        until => {
            let events = Events::new()?;
            let start = Instant::now();
            let mut look = |running| names.add_process(running);
            let is_own = args.source.is_this_guest();
            let status = wait(&events, until, is_own.then_some(&mut look as _))?;
            let seconds = start.elapsed().as_secs_f64();
            let added = source.read(wanted)?.added_since(&before)?;
            (added, Some(seconds), status)
        }
    };
    let mut causes = Causes::of(&view, seconds).ok_or_else(kept::none)?;
    if !args.source.is_this_guest() {
        causes.facts = tracing::kvm::facts(root);
    }
    Ok((causes, status))
}

/// Whether this host's KVM has no exit statistics, but an ftrace that knows its events.
pub fn has_only_ftrace(args: &SourceArgs, cpu: &(impl CpuidReader + ?Sized)) -> bool {
    let root = root(args.root.as_deref());
    matches!(Host::open(root, cpu), Err(Error::NoStatistics(_))) && tracing::is_there(root)
}

/// `vmxscope exits --host` by ftrace: how many exits each reason had.
///
/// # Errors
///
/// A reason that does not exist; what the host lacks, or what it refuses.
pub fn by_reason(args: &ExitsArgs, out: &mut Output<'_>) -> Result<()> {
    let root = root(args.source.root.as_deref());
    let (mut causes, _) = tracing::count(root, What::Reasons, Until::Time(args.duration))?;
    let wanted = args.reason.iter().map(|text| number(causes.vendor, text));
    let wanted = wanted.collect::<Result<Vec<u32>>>()?;
    let is_wanted = |cause: &Cause| cause.reason.is_some_and(|reason| wanted.contains(&reason));
    causes
        .reasons
        .retain(|cause| wanted.is_empty() || is_wanted(cause));
    causes.reasons.sort_by_key(|cause| match args.sort {
        // There are no times.
        Sort::Count | Sort::Time => (Reverse(cause.exits), cause.reason),
        Sort::Number => (Reverse(0), cause.reason),
    });
    causes.reasons.truncate(args.top.unwrap_or(usize::MAX));
    if args.form.json {
        return out.json(&causes);
    }
    if args.form.csv {
        return reasons::csv(&causes, out);
    }
    if args.form.prometheus {
        return reasons::prometheus(&causes, out);
    }
    reasons::table(&causes, out)
}
