// SPDX-License-Identifier: GPL-2.0
//! `vmxscope causes`: what made the exits, and what to do about it.

pub mod advice;
pub mod folded;
mod leaf;
pub mod model;
pub mod names;
pub mod ranges;
pub mod show;
pub mod symbols;

use std::cmp::Reverse;

use exit_stats::reader::CpuidReader;

use crate::args::{CausesArgs, ExitsArgs};
use crate::error::{status, Error, Result};
use crate::host::Host;
use crate::input::read;
use crate::names::number;
use crate::output::Output;
use crate::processor::Processor;
use crate::source::root;
use crate::source::SourceArgs;
use crate::tracing::{self, Until, What};
use crate::view::Sort;
use model::{Cause, Causes};
use names::Names;

/// Runs the command; the status is that of the command that was run meanwhile.
///
/// # Errors
///
/// Files that are not understood; what the host lacks, or what it refuses.
pub fn run(args: &CausesArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    // Before anything is counted: a file that cannot be read would lose it all.
    let own = args.from.is_none() && !args.host;
    let mut names = Names::read(&args.files)?;
    if own {
        names.add_own(&args.files, root(args.root.as_deref()));
    }
    let (causes, status) = match &args.from {
        Some(file) => {
            let causes = Causes::parse(&read(file)?, &file.display().to_string())?;
            (causes, status::OK)
        }
        None => {
            let until = match args.command.as_slice() {
                [] => Until::Time(args.duration),
                command => Until::Command(command),
            };
            if args.host {
                tracing::count(root(args.root.as_deref()), What::Causes, until)?
            } else {
                leaf::count(processor, until)?
            }
        }
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
pub fn reasons(args: &ExitsArgs, out: &mut Output<'_>) -> Result<()> {
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
        return show::reasons_csv(&causes, out);
    }
    if args.form.prometheus {
        return show::reasons_prometheus(&causes, out);
    }
    show::reasons(&causes, out)
}
