// SPDX-License-Identifier: GPL-2.0
//! Commands that are run, and what happens meanwhile.

use std::ffi::{c_int, OsString};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process, Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; 128 + N if signal N ended it.
    pub status: u8,
    /// The signal that ended it.
    pub signal: Option<c_int>,
    /// From start to end.
    pub elapsed: Duration,
}

/// What a program that runs a command waits for.
#[derive(Debug)]
pub enum Event {
    /// The command ended.
    Ended(Result<Ended>),
    /// Somebody asked this program to end.
    Signal(c_int),
}

/// Waits without waking up in between: each wake-up would be an exit of this guest.
#[derive(Debug)]
pub struct Events {
    to: Sender<Event>,
    from: Receiver<Event>,
}

impl Events {
    /// From now on the signals by which a program is asked to end are events.
    ///
    /// # Errors
    ///
    /// The system's, if a handler cannot be set.
    pub fn new() -> Result<Self> {
        let (to, from) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])
            .map_err(|error| Error::system("cannot set up signals", error))?;
        let sender = to.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                if sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { to, from })
    }

    /// Starts a command, whose end is an event.
    ///
    /// # Errors
    ///
    /// The system's, if it does not start.
    pub fn start(&self, words: &[OsString]) -> Result<Running> {
        let (name, arguments) = words
            .split_first()
            .ok_or_else(|| Error::Usage("there is no command to run".into()))?;
        let start = Instant::now();
        let mut child = Command::new(name)
            .args(arguments)
            .spawn()
            .map_err(|source| Error::Command {
                name: name.to_string_lossy().into(),
                source,
            })?;
        let running = Running(Pid::from_child(&child));
        let sender = self.to.clone();
        thread::spawn(move || {
            let ended = child
                .wait()
                .map(|status| ended(status, start.elapsed()))
                .map_err(|error| Error::system("cannot wait for the command", error));
            // Nobody listens if the measurement has failed meanwhile.
            let _ = sender.send(Event::Ended(ended));
        });
        Ok(running)
    }

    /// Waits for the end of a command, to which signals are passed on; whether one came is
    /// told as well. Meanwhile `look` is called, at first after a millisecond and then ever
    /// less often, up to once a second: each time is an exit of this guest.
    ///
    /// # Errors
    ///
    /// The system's, if the command cannot be waited for.
    pub fn end_of(
        &self,
        running: Running,
        mut look: Option<&mut dyn FnMut(Running)>,
    ) -> Result<(Ended, bool)> {
        let mut interrupted = false;
        let mut pause = Duration::from_millis(1);
        loop {
            match self.wait(look.is_some().then_some(pause)) {
                Some(Event::Ended(ended)) => return Ok((ended?, interrupted)),
                Some(Event::Signal(signal)) => {
                    interrupted = true;
                    running.pass_on(signal);
                }
                None => {
                    if let Some(look) = &mut look {
                        look(running);
                    }
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    /// Waits for the next event, or for this time.
    pub fn wait(&self, time: Option<Duration>) -> Option<Event> {
        let event = match time {
            Some(time) => self.from.recv_timeout(time),
            None => self.from.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        event.ok()
    }
}

/// A command that was started.
#[derive(Debug, Clone, Copy)]
pub struct Running(Pid);

impl Running {
    /// Its process.
    pub fn pid(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Passes on a signal, unless it is one that a terminal sends to the command too.
    pub fn pass_on(self, signal: c_int) {
        let passed = match signal {
            SIGTERM => Signal::TERM,
            SIGHUP => Signal::HUP,
            _ => return,
        };
        // It may have ended just now.
        let _ = kill_process(self.0, passed);
    }
}

fn ended(status: ExitStatus, elapsed: Duration) -> Ended {
    let signal = status.signal();
    let code = status.code().or(signal.map(|signal| 128 + signal));
    Ended {
        status: code
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX),
        signal,
        elapsed,
    }
}
