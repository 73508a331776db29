// SPDX-License-Identifier: GPL-2.0
//! `vmxscope stat`: what a command, or a time, costs in exits.

mod intervals;
mod model;
mod show;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::args::StatArgs;
use crate::child::{Event, Events};
use crate::error::{Error, Result};
use crate::input::DASH;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::source::Source;
use model::{added, Period, Stat, WANTED};

/// Runs the commands; the status is that of the first run that failed.
pub fn run(args: &StatArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let cpu = Counted::new(processor);
    let source = Source::open(&args.source, &cpu)?;
    let Some(path) = &args.output else {
        return measure(&source, args, out);
    };
    // Before anything runs, for the result would be lost otherwise.
    let file: Box<dyn Write> =
        if path == Path::new(DASH) {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(path).map_err(|error| {
                Error::system(format!("cannot write {}", path.display()), error)
            })?)
        };
    let mut file = BufWriter::new(file);
    let mut out = Output::file(&mut file, path);
    let status = measure(&source, args, &mut out)?;
    out.flush()?;
    Ok(status)
}

fn measure(source: &Source<'_>, args: &StatArgs, out: &mut Output<'_>) -> Result<u8> {
    let events = Events::new()?;
    if let Some(interval) = args.interval {
        return intervals::run(source, &events, args, interval, out);
    }
    let idle = match args.idle {
        Duration::ZERO => None,
        // Without a command the whole guest is meant.
        _ if args.commands().is_empty() => None,
        time => Some(idle(source, &events, time)?),
    };
    let stats = match args.commands() {
        commands if commands.is_empty() => vec![Stat::new(
            &[],
            None,
            vec![time(source, &events, args.duration)?],
        )],
        commands => {
            let mut stats = Vec::new();
            for command in commands {
                let (runs, interrupted) = runs(source, &events, args, &command)?;
                stats.push(Stat::new(&command, idle.clone(), runs));
                if interrupted {
                    break;
                }
            }
            stats
        }
    };
    show::show(&stats, args, out)?;
    let all = stats.iter().flat_map(|stat| &stat.runs);
    let failure = all.filter_map(|run| run.status).find(|status| *status != 0);
    Ok(failure.unwrap_or(0))
}

/// Runs a command as often as is wanted, or until somebody interrupts that.
fn runs(
    source: &Source<'_>,
    events: &Events,
    args: &StatArgs,
    command: &[OsString],
) -> Result<(Vec<Period>, bool)> {
    let mut runs = Vec::new();
    for turn in 0..args.warmup + args.repeat {
        let (period, interrupted) = one_run(source, events, command)?;
        if turn >= args.warmup || interrupted {
            runs.push(period);
        }
        if interrupted {
            return Ok((runs, true));
        }
    }
    Ok((runs, false))
}

/// One run, and whether a signal came meanwhile, or ended the command.
fn one_run(source: &Source<'_>, events: &Events, command: &[OsString]) -> Result<(Period, bool)> {
    let before = source.read(WANTED)?;
    let running = events.start(command)?;
    let mut interrupted = false;
    let ended = loop {
        match events.wait(None) {
            Some(Event::Ended(ended)) => break ended?,
            Some(Event::Signal(signal)) => {
                interrupted = true;
                running.pass_on(signal);
            }
            None => (),
        }
    };
    let after = source.read(WANTED)?;
    let period = Period {
        seconds: ended.elapsed.as_secs_f64(),
        status: Some(ended.status),
        added: added(&after, &before)?,
    };
    Ok((period, interrupted || ended.signal.is_some()))
}

/// Waits for this time, or for a signal, which is an error: nothing has run yet.
fn idle(source: &Source<'_>, events: &Events, time: Duration) -> Result<Period> {
    let before = source.read(WANTED)?;
    let start = Instant::now();
    if let Some(Event::Signal(signal)) = events.wait(Some(time)) {
        return Err(Error::Interrupted(signal));
    }
    Ok(Period {
        seconds: start.elapsed().as_secs_f64(),
        status: None,
        added: added(&source.read(WANTED)?, &before)?,
    })
}

/// Waits for this time, or for a signal, which is the end that is meant.
fn time(source: &Source<'_>, events: &Events, time: Option<Duration>) -> Result<Period> {
    let before = source.read(WANTED)?;
    let start = Instant::now();
    events.wait(time);
    Ok(Period {
        seconds: start.elapsed().as_secs_f64(),
        status: None,
        added: added(&source.read(WANTED)?, &before)?,
    })
}
