// SPDX-License-Identifier: GPL-2.0
//! `vmxscope exporter`: the exits for Prometheus, by a file or by HTTP.

mod http;

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::args::ExporterArgs;
use crate::error::{Error, Result};
use crate::format;
use crate::guest::Wanted;
use crate::host::Host;
use crate::output::{complain, Look, Output};
use crate::processor::{Counted, Processor};
use crate::signals::{self, TICK};
use crate::source::{root, Source};
use crate::view::View;
use crate::vms;

/// What is exported. It is opened anew after an error, because a VM may have been started
/// again, and a QEMU may have closed its connection.
struct Subject<'a> {
    args: &'a ExporterArgs,
    cpu: &'a Counted<'a>,
    open: Option<Open<'a>>,
}

enum Open<'a> {
    One(Source<'a>),
    Vms(Host),
}

impl<'a> Subject<'a> {
    /// Opens it for the first time.
    fn new(args: &'a ExporterArgs, cpu: &'a Counted<'a>) -> Result<Self> {
        let mut subject = Self {
            args,
            cpu,
            open: None,
        };
        subject.open = Some(subject.open()?);
        Ok(subject)
    }

    fn open(&self) -> Result<Open<'a>> {
        let source = &self.args.source;
        Ok(if self.args.vms {
            Open::Vms(Host::open(root(source.root.as_deref()), self.cpu)?)
        } else {
            Open::One(Source::open(source, self.cpu)?)
        })
    }

    /// The page of now.
    fn text(&mut self) -> Result<Vec<u8>> {
        let views = match self
            .open
            .take()
            .map(|open| read(&open).map(|views| (open, views)))
        {
            Some(Ok((open, views))) => {
                self.open = Some(open);
                views
            }
            Some(Err(_)) | None => {
                let again = self.open()?;
                let views = read(&again)?;
                self.open = Some(again);
                views
            }
        };
        let mut text = Vec::new();
        format::prometheus(&mut Output::new(&mut text, Look::PLAIN), &views)?;
        Ok(text)
    }
}

fn read(open: &Open<'_>) -> Result<Vec<View>> {
    match open {
        Open::One(source) => Ok(vec![source.read(Wanted::ALL)?]),
        Open::Vms(host) => {
            let (views, errors) = vms::views(host)?;
            errors.iter().for_each(complain);
            Ok(views)
        }
    }
}

/// Runs the command.
pub fn run(args: &ExporterArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let cpu = Counted::new(processor);
    let mut subject = Subject::new(args, &cpu)?;
    let stop = if args.interval.is_some() || args.listen.is_some() {
        signals::flag(&signals::TO_END)?
    } else {
        Arc::default()
    };
    if let Some(address) = &args.listen {
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
    while !signals::came(&stop) {
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

/// Writes a file beside this one, which it then becomes: nobody reads half of it. Where a
/// link leads, the file there is replaced, and keeps its permissions.
fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let cannot = |error| Error::system(format!("cannot write {}", path.display()), error);
    let (path, mode) = match fs::metadata(path) {
        Ok(old) if !old.is_file() => {
            return Err(Error::Usage(format!(
                "--textfile {}: this is no regular file, and is left as it is",
                path.display()
            )))
        }
        Ok(old) => (fs::canonicalize(path).map_err(cannot)?, old.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (path.into(), Permissions::from_mode(0o666))
        }
        Err(error) => return Err(cannot(error)),
    };
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    // Collectors read *.prom only.
    let write = || -> io::Result<()> {
        let mut beside = tempfile::Builder::new()
            .prefix(".vmxscope-")
            .suffix(".tmp")
            .permissions(mode.clone())
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        if path.exists() {
            // Unlike the permissions of a new file these are not subject to the umask.
            beside.as_file().set_permissions(mode.clone())?;
        }
        beside.write_all(text)?;
        beside.persist(&path)?;
        Ok(())
    };
    write().map_err(cannot)
}
