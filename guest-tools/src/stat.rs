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
use crate::causes::Beside;
use crate::child::{Event, Events};
use crate::error::{Error, Result};
use crate::guest::Wanted;
use crate::input::DASH;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::source::Source;
use crate::view::View;
use model::{Period, Stat};

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
    let own = args.source.is_this_guest();
    let mut meter = Meter {
        source,
        events,
        causes: args.causes.then(|| Beside::new(own)).transpose()?,
        own,
    };
    let idle = match args.idle {
        Duration::ZERO => None,
        // Without a command the whole guest is meant.
        _ if args.commands().is_empty() => None,
        time => Some(meter.idle(time)?),
    };
    let stats = match args.commands() {
        commands if commands.is_empty() => {
            vec![Stat::new(&[], None, vec![meter.time(args.duration)?])]
        }
        commands => {
            let mut stats = Vec::new();
            for command in commands {
                let (runs, interrupted) = meter.runs(args, &command)?;
                stats.push(Stat::new(&command, idle.clone(), runs));
                if interrupted {
                    break;
                }
            }
            stats
        }
    };
    show::show(&stats, args, meter.causes.as_ref(), out)?;
    let all = stats.iter().flat_map(|stat| &stat.runs);
    let failure = all.filter_map(|run| run.status).find(|status| *status != 0);
    Ok(failure.unwrap_or(0))
}

/// What measures.
struct Meter<'s> {
    source: &'s Source<'s>,
    events: Events,
    /// What made the exits, if that is wanted.
    causes: Option<Beside>,
    /// The guest that is measured is this one.
    own: bool,
}

impl Meter<'_> {
    fn read(&self) -> Result<View> {
        self.source.read(Wanted {
            causes: self.causes.is_some(),
            ..Wanted::FIGURES
        })
    }

    /// Runs a command as often as is wanted, or until somebody interrupts that.
    fn runs(&mut self, args: &StatArgs, command: &[OsString]) -> Result<(Vec<Period>, bool)> {
        let mut runs = Vec::new();
        for turn in 0..args.warmup + args.repeat {
            let (period, interrupted) = self.one_run(command)?;
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
    fn one_run(&mut self, command: &[OsString]) -> Result<(Period, bool)> {
        let before = self.read()?;
        let running = self.events.start(command)?;
        let mut look = self
            .causes
            .as_mut()
            .filter(|_| self.own)
            .map(|causes| |running| causes.0.add_process(running));
        let look = look.as_mut().map(|look| look as _);
        let (ended, interrupted) = self.events.end_of(running, look)?;
        let period = Period {
            seconds: ended.elapsed.as_secs_f64(),
            status: Some(ended.status),
            added: self.read()?.added_since(&before)?,
        };
        Ok((period, interrupted || ended.signal.is_some()))
    }

    /// Waits for this time, or for a signal, which is an error: nothing has run yet.
    fn idle(&self, time: Duration) -> Result<Period> {
        match self.until(Some(time))? {
            (_, Some(Event::Signal(signal))) => Err(Error::Interrupted(signal)),
            (period, _) => Ok(period),
        }
    }

    /// Waits for this time, or for a signal, which is the end that is meant.
    fn time(&self, time: Option<Duration>) -> Result<Period> {
        self.until(time).map(|(period, _)| period)
    }

    fn until(&self, time: Option<Duration>) -> Result<(Period, Option<Event>)> {
        let before = self.read()?;
        let start = Instant::now();
        let event = self.events.wait(time);
        let period = Period {
            seconds: start.elapsed().as_secs_f64(),
            status: None,
            added: self.read()?.added_since(&before)?,
        };
        Ok((period, event))
    }
}
