// SPDX-License-Identifier: GPL-2.0
//! `vmxscope exporter`: the exits for Prometheus, by a file or by HTTP.

mod http;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::args::ExporterArgs;
use crate::error::{Error, Result};
use crate::format;
use crate::guest::Wanted;
use crate::host::Host;
use crate::output::Output;
use crate::processor::{Counted, Processor};
use crate::signals;
use crate::source::{self, Source};
use crate::view::View;
use crate::vms;

/// How often signals are looked at while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// What is exported.
enum Subject<'a> {
    One(Source<'a>),
    Vms(Host),
}

impl Subject<'_> {
    fn read(&self) -> Result<Vec<View>> {
        let all = Wanted {
            extras: true,
            histograms: true,
            states: false,
        };
        match self {
            Self::One(source) => Ok(vec![source.read(all)?]),
            Self::Vms(host) => vms::views(host),
        }
    }

    fn text(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        format::prometheus(&mut text, &self.read()?)?;
        Ok(text)
    }
}

/// Runs the command.
pub fn run(args: &ExporterArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let cpu = Counted::new(processor);
    let subject = match args.vms {
        true => Subject::Vms(Host::open(source::root(args.source.root.as_deref()), &cpu)?),
        false => Subject::One(Source::open(&args.source, &cpu)?),
    };
    let stop = match args.interval.is_some() || args.listen.is_some() {
        true => signals::flag(&signals::TO_END)?,
        false => AtomicBool::new(false).into(),
    };
    if let Some(address) = args.listen {
        return http::serve(address, &stop, out, || subject.text());
    }
    let Some(path) = &args.textfile else {
        return Err(Error::Usage("name --textfile or --listen".into()));
    };
    replace(path, &subject.text()?)?;
    let Some(interval) = args.interval else {
        return Ok(());
    };
    let mut next = Instant::now() + interval;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(next.saturating_duration_since(Instant::now()).min(TICK));
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + interval;
        let written = subject.text().and_then(|text| replace(path, &text));
        if let Err(error) = written {
            complain(&error);
        }
    }
    Ok(())
}

/// Says what failed, where a service's log gets it.
fn complain(error: &Error) {
    let _ = writeln!(io::stderr(), "vmxscope: {error}");
}

/// Writes a file beside this one, which it then becomes: nobody reads half of it.
/// Collectors read `*.prom` only, so the name of the other ends otherwise.
fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(name);
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(text))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        // There may be nothing to remove.
        let _ = fs::remove_file(&beside);
        Error::system(format!("cannot write {}", path.display()), error)
    })
}
