// SPDX-License-Identifier: GPL-2.0
//! `vmxscope record`: views over time, a line of JSON each.
//!
//! Every line is written at once, so a recording that was cut off is whole up to
//! there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGINT;

use crate::args::RecordArgs;
use crate::child::{self, Ended};
use crate::error::{Error, Result};
use crate::exits::read;
use crate::guest::Wanted;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::signals;
use crate::source::Source;
use crate::units::{grouped, time};
use crate::view::View;

/// What [`Header::format`] holds.
pub const FORMAT: &str = "vmxscope-recording-1";

/// How often signals are looked at while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The command that was run meanwhile, if one was.
    pub command: Vec<String>,
    /// Milliseconds from one view to the next.
    pub interval_ms: u64,
}

/// The last line, unless the recording was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The command's exit status.
    pub status: Option<u8>,
    /// The length of the recording.
    pub seconds: f64,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Header(Header),
    View(Box<View>),
    End(End),
}

/// A recording that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its file.
    pub name: String,
    /// How it was made.
    pub header: Header,
    /// At least one.
    pub views: Vec<View>,
    /// How it ended, if it was not cut off.
    pub end: Option<End>,
}

/// Makes a recording; the status is the command's.
pub fn record(args: &RecordArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let cpu = Counted::new(processor);
    let source = Source::open(&args.source, &cpu)?;
    let what = format!("cannot write {}", args.output.display());
    let cannot_write = |error| Error::system(what.clone(), error);
    let mut file = BufWriter::new(File::create(&args.output).map_err(cannot_write)?);
    let mut write = |line: &Line| {
        serde_json::to_writer(&mut file, line).map_err(|error| cannot_write(error.into()))?;
        file.write_all(b"\n")
            .and_then(|()| file.flush())
            .map_err(cannot_write)
    };
    let words = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    write(&Line::Header(Header {
        format: FORMAT.into(),
        command: words.collect(),
        interval_ms: args.interval.as_millis() as u64,
    }))?;
    // Without a command the recording ends by a signal; with one, when that ends.
    let stop = match args.command.is_empty() {
        true => signals::flag(&signals::TO_END)?,
        false => signals::flag(&[SIGINT])?,
    };
    let view = |all| {
        source.read(Wanted {
            extras: all,
            histograms: all,
            // What cannot occur is asked once, and then left out.
            states: all,
        })
    };
    // More than counts and cycles takes most of the exits, and is not needed between
    // the first and the last: a report shows how these differ.
    let first = view(true)?;
    write(&Line::View(Box::new(first.clone())))?;
    let start = Instant::now();
    let ended = match args.command.is_empty() {
        true => None,
        false => Some(spawn(args)?),
    };
    let mut status = None;
    let mut ticks = 1;
    loop {
        let next = start + args.interval * ticks;
        let wait = next.saturating_duration_since(Instant::now()).min(TICK);
        match &ended {
            None => thread::sleep(wait),
            Some(ended) => match ended.recv_timeout(wait) {
                Ok(end) => {
                    status = Some(end?.status);
                    break;
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            },
        }
        let over = args
            .duration
            .is_some_and(|duration| start.elapsed() >= duration);
        if ended.is_none() && (over || stop.load(Ordering::Relaxed)) {
            break;
        }
        if Instant::now() >= next {
            write(&Line::View(Box::new(view(false)?)))?;
            // What was missed while the machine was busy is not made up for.
            ticks = (start.elapsed().as_nanos() / args.interval.as_nanos().max(1)) as u32 + 1;
        }
    }
    let last = view(true)?;
    write(&Line::View(Box::new(last.clone())))?;
    let seconds = start.elapsed().as_secs_f64();
    write(&Line::End(End { status, seconds }))?;
    let exits = grouped(last.total.exits.saturating_sub(first.total.exits));
    let (took, name) = (time(seconds * 1e9), args.output.display());
    writeln!(
        out,
        "{exits} exits in {took}: {name}. Show them: vmxscope report {name} -o report.html"
    )?;
    Ok(status.unwrap_or(0))
}

/// Starts the command, and waits for it in a thread of its own.
fn spawn(args: &RecordArgs) -> Result<mpsc::Receiver<Result<Ended>>> {
    let start = Instant::now();
    let mut child = child::command(&args.command)?
        .spawn()
        .map_err(|source| child::not_started(&args.command, source))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let ended = child
            .wait()
            .map(|status| child::ended(status, start.elapsed()))
            .map_err(|error| Error::system("cannot wait for the command", error));
        // Nobody listens any more if the recording failed.
        let _ = sender.send(ended);
    });
    Ok(receiver)
}

/// Reads a recording, or one view that `exits --json` saved.
pub fn open(path: &Path) -> Result<Recording> {
    let name = path.display().to_string();
    parse(&read(path)?, &name)
}

/// Reads the text of a recording.
pub fn parse(text: &str, name: &str) -> Result<Recording> {
    if !text.trim_start().starts_with("{\"header\"") {
        let view = crate::format::parse_view(text, name)?;
        let header = Header {
            format: FORMAT.into(),
            command: Vec::new(),
            interval_ms: 0,
        };
        return Ok(Recording {
            name: name.into(),
            header,
            views: vec![view],
            end: None,
        });
    }
    let (mut header, mut views, mut end) = (None, Vec::new(), None);
    let count = text.lines().count();
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(Line::Header(read)) if read.format == FORMAT => header = Some(read),
            Ok(Line::Header(read)) => {
                let problem = format!(
                    "its format is {:?}, and this vmxscope reads {FORMAT:?}",
                    read.format
                );
                return Err(Error::input(name, number + 1, problem));
            }
            Ok(Line::View(view)) => views.push(*view),
            Ok(Line::End(read)) => end = Some(read),
            // The last line of a recording that was cut off.
            Err(_) if number + 1 == count && !text.ends_with('\n') => (),
            Err(error) => {
                let problem = format!("not a line of a recording: {error}");
                return Err(Error::input(name, number + 1, problem));
            }
        }
    }
    match header {
        Some(header) if !views.is_empty() => Ok(Recording {
            name: name.into(),
            header,
            views,
            end,
        }),
        _ => Err(Error::input(name, 0, "there is nothing in this recording")),
    }
}
