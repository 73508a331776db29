// SPDX-License-Identifier: GPL-2.0
//! `vmxscope record`: views over time, a line of JSON each.
//!
//! Every line is written at once, so a recording that was cut off is whole up to
//! there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::args::RecordArgs;
use crate::causes::Beside;
use crate::child::{Event, Events};
use crate::error::{Error, Result};
use crate::guest::Wanted;
use crate::input::{read, DASH};
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::source::Source;
use crate::units::{grouped, time};
use crate::view::{hexadecimal, View};

/// What [`Header::format`] holds.
pub const FORMAT: &str = "vmxscope-recording-1";

/// By what two guests are compared, reason by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compare {
    /// Exits a second of a vCPU's life.
    #[default]
    Rate,
    /// All exits.
    Count,
    /// The share of all exits.
    Share,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// The command that was run meanwhile, if one was.
    pub command: Vec<String>,
    /// Milliseconds from one view to the next.
    pub interval_ms: u64,
    /// Of a baseline: what it was made of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<String>,
    /// Of a baseline: by what others are compared with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compare: Option<Compare>,
}

/// The last line, unless the recording was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The command's exit status.
    pub status: Option<u8>,
    /// The length of the recording.
    pub seconds: f64,
}

/// Functions of the guest's code, by addresses that exits came from.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Functions(BTreeMap<String, String>);

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Record {
    Header(Header),
    View(Box<View>),
    Functions(Functions),
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
    /// Functions of the guest's code, by addresses that exits came from.
    pub functions: BTreeMap<u64, String>,
    /// How it ended, if it was not cut off.
    pub end: Option<End>,
}

/// Makes a recording; the status is the command's.
pub fn record(args: &RecordArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<u8> {
    let cpu = Counted::new(processor);
    let source = Source::open(&args.source, &cpu)?;
    let mut file = Writing::create(&args.output)?;
    let events = Events::new()?;
    let words = args
        .command
        .iter()
        .map(|word| word.to_string_lossy().into_owned());
    file.line(&Record::Header(Header {
        format: FORMAT.into(),
        command: words.collect(),
        interval_ms: args.interval.as_millis() as u64,
        about: None,
        compare: None,
    }))?;
    let view = |all| {
        source.read(Wanted {
            extras: all,
            histograms: all,
            // What cannot occur is asked once, and then left out.
            states: all,
            causes: all && args.causes,
        })
    };
    // More than counts and cycles takes most of the exits, and is not needed between
    // the first and the last: a report shows how these differ.
    let first = view(true)?;
    file.line(&Record::View(Box::new(first.clone())))?;
    let start = Instant::now();
    let running = if args.command.is_empty() {
        None
    } else {
        Some(events.start(&args.command)?)
    };
    let own = args.source.is_this_guest();
    let mut causes = args.causes.then(|| Beside::new(own)).transpose()?;
    let end = args.duration.map(|duration| start + duration);
    let mut status = None;
    let mut ticks = 1;
    loop {
        let next = start + args.interval * ticks;
        let until = end.map_or(next, |end| end.min(next));
        let time = until.saturating_duration_since(Instant::now());
        match (events.wait(Some(time)), running) {
            (Some(Event::Ended(ended)), _) => {
                status = Some(ended?.status);
                break;
            }
            (Some(Event::Signal(_)), None) => break,
            (Some(Event::Signal(signal)), Some(running)) => running.pass_on(signal),
            (None, _) => (),
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        if let (Some(causes), Some(running), true) = (&mut causes, running, own) {
            causes.0.add_process(running);
        }
        if Instant::now() >= next {
            file.line(&Record::View(Box::new(view(false)?)))?;
            // What was missed while the machine was busy is not made up for.
            ticks = (start.elapsed().as_nanos() / args.interval.as_nanos().max(1)) as u32 + 1;
        }
    }
    let last = view(true)?;
    file.line(&Record::View(Box::new(last.clone())))?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(causes) = &causes {
        let addresses = last.causes.iter().flatten().filter_map(|cause| cause.rip);
        let named =
            addresses.filter_map(|rip| Some((format!("{rip:#x}"), causes.0.function(rip)?)));
        file.line(&Record::Functions(Functions(named.collect())))?;
    }
    file.line(&Record::End(End { status, seconds }))?;
    let exits = grouped(last.total.exits.saturating_sub(first.total.exits));
    let (took, name) = (time(seconds * 1e9), &file.name);
    writeln!(
        out,
        "{exits} exits in {took}: {name}. Show them: vmxscope report {name} -o report.html"
    )?;
    Ok(status.unwrap_or(0))
}

/// A recording that is being written, each line at once.
struct Writing {
    to: Box<dyn Write>,
    name: String,
}

impl Writing {
    /// Begins a file; `-` is standard output.
    fn create(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let to: Box<dyn Write> = if path == Path::new(DASH) {
            Box::new(io::stdout())
        } else {
            Box::new(
                File::create(path)
                    .map_err(|error| Error::system(format!("cannot write {name}"), error))?,
            )
        };
        Ok(Self { to, name })
    }

    fn line(&mut self, line: &Record) -> Result<()> {
        let write = |to: &mut dyn Write| -> io::Result<()> {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            to.write_all(&text)?;
            to.flush()
        };
        write(&mut self.to)
            .map_err(|error| Error::system(format!("cannot write {}", self.name), error))
    }
}

/// Reads a recording, or one view that `exits --json` saved.
pub fn open(path: &Path) -> Result<Recording> {
    let name = path.display().to_string();
    parse(&read(path)?, &name)
}

/// Reads the text of a recording.
pub fn parse(text: &str, name: &str) -> Result<Recording> {
    if !text.trim_start().starts_with("{\"header\"") {
        let views = View::parse(text, name)?;
        if views.len() > 1 {
            let problem = "it has views of several vCPUs; a report is about one VM";
            return Err(Error::input(name, 0, problem));
        }
        let header = Header {
            format: FORMAT.into(),
            command: Vec::new(),
            interval_ms: 0,
            about: None,
            compare: None,
        };
        return Ok(Recording {
            name: name.into(),
            header,
            views,
            functions: BTreeMap::new(),
            end: None,
        });
    }
    let (mut header, mut views, mut end) = (None, Vec::new(), None);
    let mut functions = BTreeMap::new();
    let count = text.lines().count();
    for (number, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(Record::Header(read)) if read.format == FORMAT => header = Some(read),
            Ok(Record::Header(read)) => {
                let problem = format!(
                    "its format is {:?}, and this vmxscope reads {FORMAT:?}",
                    read.format
                );
                return Err(Error::input(name, number + 1, problem));
            }
            Ok(Record::View(view)) => {
                view.check()
                    .map_err(|problem| Error::input(name, number + 1, problem))?;
                views.push(*view);
            }
            Ok(Record::Functions(Functions(read))) => {
                let known = |(at, name): (String, _)| Some((hexadecimal::parse(&at)?, name));
                functions.extend(read.into_iter().filter_map(known));
            }
            Ok(Record::End(read)) => end = Some(read),
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
            functions,
            end,
        }),
        _ => Err(Error::input(name, 0, "there is nothing in this recording")),
    }
}
