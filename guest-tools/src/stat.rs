// SPDX-License-Identifier: GPL-2.0
//! `vmxscope stat`: what a command costs in exits.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::args::StatArgs;
use crate::child;
use crate::error::{Error, Result};
use crate::guest::Wanted;
use crate::output::{Look, Output};
use crate::processor::{Counted, Processor};
use crate::source::Source;
use crate::stat_show;
use crate::view::View;

/// All figures but the histograms, which would take most of the exits.
const WANTED: Wanted = Wanted {
    extras: true,
    histograms: false,
    states: false,
};

/// The exit reason by which this program reads.
pub(crate) const CPUID: u32 = 10;

/// What happened in some time.
#[derive(Debug, Clone, Serialize)]
pub struct Period {
    /// Its length.
    pub seconds: f64,
    /// The command's exit status; none of the idle time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
    /// What was added meanwhile; `own_exits` of them are this program's.
    pub added: View,
}

/// The result of all runs.
#[derive(Debug, Clone, Serialize)]
pub struct Stat {
    /// The format of this.
    pub format: &'static str,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The guest without the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Period>,
    /// Each run.
    pub runs: Vec<Period>,
}

/// Runs the command; its status is what the command line's command ended with.
pub fn run(args: &StatArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let cpu = Counted::new(processor);
    let source = Source::open(&args.source, &cpu)?;
    // Before anything runs, for the result would be lost otherwise.
    let file = args
        .output
        .as_ref()
        .map(|path| {
            let what = format!("cannot write {}", path.display());
            File::create(path).map_err(|error| Error::system(what, error))
        })
        .transpose()?;
    child::leave_interrupts_to_the_command()?;
    let idle = match args.idle {
        Duration::ZERO => None,
        time => Some(idle(&source, time)?),
    };
    let mut runs = Vec::new();
    for _ in 0..args.repeat {
        let (period, signal) = one_run(&source, args)?;
        runs.push(period);
        if signal.is_some() {
            break;
        }
    }
    let first_failure = runs
        .iter()
        .filter_map(|run| run.status)
        .find(|status| *status != 0);
    let words = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    let stat = Stat {
        format: "vmxscope-stat-1",
        command: words.collect(),
        idle,
        runs,
    };
    match file {
        None => stat_show::show(&stat, args, out)?,
        Some(file) => {
            let mut to = BufWriter::new(file);
            let mut out = Output {
                to: &mut to,
                look: Look::PLAIN,
            };
            stat_show::show(&stat, args, &mut out)?;
            to.flush()?;
        }
    }
    Ok(first_failure.unwrap_or(0))
}

fn idle(source: &Source<'_>, time: Duration) -> Result<Period> {
    let before = source.read(WANTED)?;
    let start = Instant::now();
    thread::sleep(time);
    let seconds = start.elapsed().as_secs_f64();
    let after = source.read(WANTED)?;
    Ok(Period {
        seconds,
        status: None,
        added: added(&after, &before)?,
    })
}

fn one_run(source: &Source<'_>, args: &StatArgs) -> Result<(Period, Option<i32>)> {
    let before = source.read(WANTED)?;
    let ended = child::run(&args.command)?;
    let after = source.read(WANTED)?;
    let period = Period {
        seconds: ended.elapsed.as_secs_f64(),
        status: Some(ended.status),
        added: added(&after, &before)?,
    };
    Ok((period, ended.signal))
}

fn added(after: &View, before: &View) -> Result<View> {
    after.since(before).ok_or_else(|| {
        Error::Unstable(
            "the host's counters started anew meanwhile: the VM was moved to another host, or \
             made again there"
                .into(),
        )
    })
}
