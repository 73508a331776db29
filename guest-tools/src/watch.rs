// SPDX-License-Identifier: GPL-2.0
//! `vmxscope watch`: a live screen.
//!
//! This module owns the terminal: whatever happens, it is left as it was found.
//! A terminal that is gone ends it as `q` does, whether or not SIGHUP came with that.

mod causes;
mod fleet;
mod grid;
mod keys;
mod model;
mod screen;
mod shown;
mod vcpus;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::panic;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind};
use crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::args::WatchArgs;
use crate::baseline::Baseline;
use crate::causes::Beside;
use crate::error::{Error, Result};
use crate::guest::Wanted;
use crate::host::Host;
use crate::processor::{Counted, Processor};
use crate::signals::{self, Signal};
use crate::source::{root, Source};
use crate::view::View;
use crate::vms;
pub use fleet::Fleet;
pub use keys::{act, Act};
pub use model::Model;
pub use screen::draw;
pub use vcpus::Vcpus;

/// Runs the command.
pub fn run(args: &WatchArgs, processor: &dyn Processor) -> Result<()> {
    if !io::stdout().is_terminal() {
        return Err(no_terminal(io::Error::other("standard output is none")));
    }
    let cpu = Counted::new(processor);
    let start = if args.vms {
        Start::All(Host::open(root(args.source.root.as_deref()), &cpu)?)
    } else {
        let source = Source::open(&args.source, &cpu)?;
        let mut one = One::new(source, args.interval, false)?;
        let baseline = args.baseline.as_deref().map(Baseline::open).transpose()?;
        one.model.compare_with(baseline);
        if args.causes {
            one.model.table.toggle_causes();
        }
        Start::One(Box::new(one))
    };
    let stop = signals::flag(&signals::TO_END)?;
    let screen = Screen::take().map_err(no_terminal)?;
    let result = match start {
        Start::One(mut one) => watch(one.as_mut(), &stop).map(drop),
        Start::All(host) => watch_all(&host, args.interval, &stop),
    };
    drop(screen);
    match result {
        // Whatever failed: there is no screen any more, and nobody before it.
        Err(_) if is_gone() => Ok(()),
        result => result,
    }
}

/// What is shown first.
enum Start<'a> {
    One(Box<One<'a>>),
    All(Host),
}

/// A screen that is kept up to date.
trait Live {
    fn interval(&self) -> Duration;
    fn draw(&self, frame: &mut Frame<'_>);
    fn key(&mut self, key: KeyEvent) -> Act;
    /// Reads again, and tells whether there is anything new.
    fn read(&mut self) -> Result<bool>;
}

/// One VM.
struct One<'a> {
    model: Model,
    source: Source<'a>,
    /// It was chosen among several.
    inside: bool,
}

impl<'a> One<'a> {
    fn new(source: Source<'a>, interval: Duration, inside: bool) -> Result<Self> {
        // What cannot occur is asked once, and then left out.
        let first = source.read(Wanted {
            states: true,
            ..Wanted::ALL
        })?;
        Ok(Self {
            model: Model::new(first, interval),
            source,
            inside,
        })
    }
}

impl One<'_> {
    /// Reads the causes too, or says why that is not possible.
    fn read_with_causes(&mut self, wanted: Wanted) -> Result<View> {
        if self.model.table.names().is_none() {
            let own = matches!(self.source, Source::Guest(_));
            self.model.table.name_by(Beside::new(own)?.0);
        }
        let causes = true;
        match self.source.read(Wanted { causes, ..wanted }) {
            Err(problem @ (Error::NoStatistics(_) | Error::Usage(_))) => {
                self.model.table.lacks_causes(problem.to_string());
                self.source.read(wanted)
            }
            read => read,
        }
    }
}

impl Live for One<'_> {
    fn interval(&self) -> Duration {
        self.model.interval()
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        draw(frame, &self.model);
    }

    fn key(&mut self, key: KeyEvent) -> Act {
        let nothing_open = !self.model.help() && self.model.filter() == ("", false);
        match key.code {
            KeyCode::Esc if self.inside && nothing_open => Act::Back,
            _ => act(&mut self.model, key),
        }
    }

    fn read(&mut self) -> Result<bool> {
        if self.model.is_paused() {
            return Ok(false);
        }
        let wanted = if self.model.wants_histogram() {
            Wanted::ALL
        } else {
            Wanted::LEAST
        };
        let mut view = match self.model.table.causes() {
            Some(None) => self.read_with_causes(wanted)?,
            _ => self.source.read(wanted)?,
        };
        if self.model.table.vcpus().is_some() {
            self.model.table.update_vcpus(self.source.vcpus()?);
        }
        self.model.keep_histograms(&mut view);
        self.model.update(view);
        Ok(true)
    }
}

/// All VMs of a host.
struct All<'a> {
    fleet: Fleet,
    host: &'a Host,
}

impl Live for All<'_> {
    fn interval(&self) -> Duration {
        self.fleet.interval()
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        self.fleet.draw(frame);
    }

    fn key(&mut self, key: KeyEvent) -> Act {
        self.fleet.act(key)
    }

    fn read(&mut self) -> Result<bool> {
        self.fleet.update(vms::each(self.host)?.0);
        Ok(true)
    }
}

/// Shows all VMs, and one of them as long as it is chosen and runs.
fn watch_all(host: &Host, interval: Duration, stop: &Signal) -> Result<()> {
    let fleet = Fleet::new(host.counted_by(), vms::each(host)?.0, interval);
    let mut all = All { fleet, host };
    loop {
        let Act::Open(vm) = watch(&mut all, stop)? else {
            return Ok(());
        };
        let source = Source::Host(host.clone(), Some(vm));
        let shown = One::new(source, interval, true).and_then(|mut one| watch(&mut one, stop));
        match shown {
            // It ended.
            Ok(Act::Back) | Err(Error::Unstable(_)) => (),
            other => return other.map(drop),
        }
    }
}

/// Whether the terminal was hung up: its window closed, its connection lost.
fn is_gone() -> bool {
    let output = io::stdout();
    let mut terminal = [PollFd::new(&output, PollFlags::empty())];
    poll(&mut terminal, Some(&Timespec::default())).is_ok()
        && terminal[0].revents().contains(PollFlags::HUP)
}

fn no_terminal(error: io::Error) -> Error {
    Error::system(
        "watch needs a terminal; `vmxscope exits` and `record` need none",
        error,
    )
}

/// Shows a screen until a key or a signal ends that.
fn watch(live: &mut dyn Live, stop: &Signal) -> Result<Act> {
    let screen = output().map_err(no_terminal)?;
    let terminal = Terminal::new(CrosstermBackend::new(screen)).map_err(no_terminal)?;
    // To drop it would only show the cursor, as `Screen` does, but panic if there is
    // no terminal any more to say that to.
    let mut terminal = ManuallyDrop::new(terminal);
    let keys = keys().map_err(no_terminal)?;
    // The first call takes over SIGWINCH.
    event::poll(Duration::ZERO).map_err(no_terminal)?;
    let mut next = Instant::now() + live.interval();
    let mut changed = true;
    while !signals::came(stop) && !is_gone() {
        if changed {
            terminal
                .draw(|frame| live.draw(frame))
                .map_err(no_terminal)?;
            changed = false;
        }
        let time = next.saturating_duration_since(Instant::now());
        if wait(&keys, time).map_err(no_terminal)? {
            while event::poll(Duration::from_millis(1)).map_err(no_terminal)? {
                // A new size needs nothing but to be drawn.
                changed = true;
                let Event::Key(key) = event::read().map_err(no_terminal)? else {
                    continue;
                };
                if key.kind == KeyEventKind::Release {
                    continue;
                }
                match live.key(key) {
                    Act::Stay => (),
                    act => return Ok(act),
                }
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + live.interval();
            changed |= live.read()?;
        }
    }
    Ok(Act::Quit)
}

/// Where keys come from, as crossterm has it.
fn keys() -> io::Result<File> {
    let input = io::stdin();
    if input.is_terminal() {
        Ok(input.as_fd().try_clone_to_owned()?.into())
    } else {
        File::open("/dev/tty")
    }
}

/// Waits until there are keys or a signal came, or for this time: then it is false.
/// crossterm's own wait is busy in its last millisecond.
fn wait(keys: &File, time: Duration) -> io::Result<bool> {
    // A signal that comes just before this does not wake it up.
    let time = time.min(Duration::from_millis(200));
    let limit = Timespec::try_from(time).map_err(io::Error::other)?;
    let mut input = [PollFd::new(keys, PollFlags::IN)];
    match poll(&mut input, Some(&limit)) {
        Ok(0) => Ok(false),
        Ok(_) if input[0].revents().contains(PollFlags::HUP) => {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        Ok(_) | Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Standard output, but for its buffer: what a terminal that is gone did not take
/// would stay there, and fail again at the end of the program.
fn output() -> io::Result<BufWriter<File>> {
    let same = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(BufWriter::new(same.into()))
}

/// The terminal in raw mode, with a screen of its own, until this is dropped.
pub struct Screen;

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// The system's, if standard output is no terminal.
    pub fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(output()?, EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// There is nobody left to tell if this fails.
fn restore() {
    let _ = output().and_then(|mut to| execute!(to, LeaveAlternateScreen, cursor::Show));
    let _ = terminal::disable_raw_mode();
}
