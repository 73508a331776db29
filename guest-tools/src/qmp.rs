// SPDX-License-Identifier: GPL-2.0
//! A VM's vCPUs by its QEMU, which alone holds the descriptors of KVM's binary
//! statistics: QEMU's monitor protocol shows them by `query-stats`.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use exit_stats::abi;
use exit_stats::counters::slot;
use exit_stats::reason::{Reason, Vendor};
use serde::Deserialize;
use serde_json::{json, Value};

use crate::error::{Error, Result};
use crate::text::harmless;
use crate::view::{Counter, Row, Scope, View};

/// A monitor serves one client at a time, and lets the others wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// KVM's statistics that we read: a bucket a reason, by its slot, and the last for those
/// that have none.
const EXITS: &str = "exits_by_reason";
const CYCLES: &str = "exit_cycles_by_reason";

/// A connection to a QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: RefCell<BufReader<UnixStream>>,
    socket: String,
    /// The VM's name.
    name: String,
    /// By index.
    vcpus: Vec<CpuInfo>,
    chosen: Option<u32>,
    tsc_khz: u32,
    vendor: Vendor,
    /// Whether lists of buckets come back to front; kept from a reading that shows it.
    reversed: Cell<bool>,
}

/// A vCPU, as `query-cpus-fast` describes it.
#[derive(Debug, Clone, Deserialize)]
struct CpuInfo {
    #[serde(rename = "cpu-index")]
    index: u32,
    #[serde(rename = "qom-path")]
    path: String,
}

/// What `query-stats` says of a vCPU.
#[derive(Debug, Deserialize)]
struct OfVcpu {
    #[serde(rename = "qom-path", default)]
    path: String,
    #[serde(default)]
    stats: Vec<NamedStat>,
}

#[derive(Debug, Deserialize)]
struct NamedStat {
    name: String,
    value: Value,
}

impl Qmp {
    /// Connects; `tsc_khz` is the frequency of the host's clock, `vendor` its CPU's.
    ///
    /// # Errors
    ///
    /// The system's, if there is no such socket or nobody answers; usage, if the VM
    /// has no such vCPU.
    pub fn open(socket: &Path, chosen: Option<u32>, tsc_khz: u32, vendor: Vendor) -> Result<Self> {
        let stream = UnixStream::connect(socket).map_err(|error| {
            Error::system(format!("cannot connect to {}", socket.display()), error)
        })?;
        Self::over(stream, socket, chosen, tsc_khz, vendor)
    }

    /// The same over a stream that is connected to this socket.
    ///
    /// # Errors
    ///
    /// As of [`Qmp::open`].
    pub fn over(
        stream: UnixStream,
        socket: &Path,
        chosen: Option<u32>,
        tsc_khz: u32,
        vendor: Vendor,
    ) -> Result<Self> {
        let name = socket.display().to_string();
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(|error| Error::system(format!("cannot use {name}"), error))?;
        let mut qmp = Self {
            stream: BufReader::new(stream).into(),
            name: socket
                .file_stem()
                .map_or("vm".into(), |stem| stem.to_string_lossy().into()),
            socket: name,
            vcpus: Vec::new(),
            chosen,
            tsc_khz,
            vendor,
            // All QEMUs of 7.1 to 10.0 do it.
            reversed: Cell::new(true),
        };
        if qmp.message()?.get("QMP").is_none() {
            return Err(qmp.wrong("it is no monitor of QEMU's"));
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        if let Some(name) = qmp.execute("query-name", &json!({}))?["name"].as_str() {
            qmp.name = harmless(name);
        }
        let vcpus = qmp.execute("query-cpus-fast", &json!({}))?;
        qmp.vcpus = qmp.understand(vcpus)?;
        qmp.vcpus.sort_by_key(|vcpu| vcpu.index);
        if let Some(number) = chosen.filter(|&n| qmp.vcpus.iter().all(|vcpu| vcpu.index != n)) {
            let count = qmp.vcpus.len();
            return Err(Error::Usage(format!(
                "--vcpu {number}: this VM has {count} vCPUs, counted from 0"
            )));
        }
        Ok(qmp)
    }

    /// Reads the chosen vCPU, or the sum of all.
    pub fn read(&self) -> Result<View> {
        let mut views = self.read_each()?.into_iter();
        let Some(mut sum) = views.next() else {
            return Err(self.wrong("the VM has no vCPU"));
        };
        for view in views {
            for row in view.reasons {
                add(&mut sum, row);
            }
        }
        if self.chosen.is_none() {
            sum.vm.clone_from(&self.name);
        }
        sum.check().map_err(|problem| self.wrong(&problem))?;
        let total = |figure: fn(&Row) -> u64| sum.reasons.iter().map(figure).sum();
        (sum.total.exits, sum.total.cycles) = (total(|row| row.exits), total(|row| row.cycles));
        Ok(sum)
    }

    /// Reads each vCPU, or the chosen one, by index.
    pub fn read_each(&self) -> Result<Vec<View>> {
        let arguments = json!({
            "target": "vcpu",
            "providers": [{ "provider": "kvm", "names": [EXITS, CYCLES] }],
        });
        let answer = self.execute("query-stats", &arguments)?;
        let all: Vec<OfVcpu> = self.understand(answer)?;
        let wanted = |vcpu: &&CpuInfo| self.chosen.is_none_or(|chosen| chosen == vcpu.index);
        for of_vcpu in &all {
            if let Some(stat) = of_vcpu.stats.iter().find(|stat| stat.name == EXITS) {
                self.learn_order(&self.understand::<Vec<u64>>(stat.value.clone())?)?;
            }
        }
        let mut views = Vec::new();
        for vcpu in self.vcpus.iter().filter(wanted) {
            // A vCPU that was taken out of the VM has no figures any more.
            if let Some(found) = all.iter().find(|found| found.path == vcpu.path) {
                views.push(self.view(vcpu.index, &found.stats)?);
            }
        }
        if views.is_empty() {
            Err(no_statistics(&self.socket))
        } else {
            Ok(views)
        }
    }

    fn view(&self, index: u32, stats: &[NamedStat]) -> Result<View> {
        let column = |name: &str| {
            let stat = stats.iter().find(|stat| stat.name == name);
            let stat = stat.ok_or_else(|| no_statistics(&self.socket))?;
            self.understand::<Vec<u64>>(stat.value.clone())
        };
        let (mut exits, mut cycles) = (column(EXITS)?, column(CYCLES)?);
        if exits.len() != cycles.len() {
            return Err(self.wrong("it has another number of counts than of cycles"));
        }
        if self.reversed.get() {
            exits.reverse();
            cycles.reverse();
        }
        let mut view = View::new(
            Scope::Vm,
            format!("{}:vcpu{index}", self.name),
            self.tsc_khz,
        );
        view.vendor = self.vendor;
        view.counted_by = Some(Counter::Kvm);
        view.counts_only = true;
        view.total = Row::named(self.vendor, abi::TOTAL);
        let last = exits.len().saturating_sub(1);
        for (place, (exits, cycles)) in exits.into_iter().zip(cycles).enumerate() {
            let number = match self.reason_at(place) {
                Some(reason) if place != last => Some(reason.number.into()),
                _ => (exits != 0).then_some(abi::BEYOND),
            };
            if let Some(number) = number {
                let row = Row {
                    exits,
                    cycles,
                    ..Row::named(self.vendor, number)
                };
                view.total.exits = view.total.exits.saturating_add(exits);
                view.total.cycles = view.total.cycles.saturating_add(cycles);
                view.reasons.push(row);
            }
        }
        view.check().map_err(|problem| self.wrong(&problem))?;
        Ok(view)
    }

    /// The reason of a bucket.
    fn reason_at(&self, place: usize) -> Option<&'static Reason> {
        let mut reasons = self.vendor.reasons().iter();
        reasons.find(|reason| slot(reason.number.into()) == place)
    }

    /// QEMU builds its lists of buckets back to front. A count at a number that no reason
    /// has, such as 35, 38 or 42, shows that a list is not that way round.
    fn learn_order(&self, exits: &[u64]) -> Result<()> {
        // The last bucket is of those past the table.
        let last = exits.len().saturating_sub(1);
        let impossible = |place: usize| place != last && self.reason_at(place).is_none();
        let occurred = || (0..exits.len()).filter(|&place| exits[place] != 0);
        match (
            occurred().find(|&place| impossible(place)),
            occurred().find(|&place| impossible(last - place)),
        ) {
            (Some(there), Some(back)) => Err(self.wrong(&format!(
                "it counts exits of reason {there}, or read back to front of reason {}, and neither exists",
                last - back
            ))),
            (Some(_), None) => {
                self.reversed.set(true);
                Ok(())
            }
            (None, Some(_)) => {
                self.reversed.set(false);
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// Executes a command; what happens meanwhile is skipped.
    fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        let what = format!("cannot ask {}", self.socket);
        writeln!(self.stream.borrow_mut().get_mut(), "{request}")
            .map_err(|error| Error::system(what, error))?;
        loop {
            let mut answer = self.message()?;
            if let Some(error) = answer.get("error") {
                return Err(self.wrong(&format!("{command} failed: {error}")));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn message(&self) -> Result<Value> {
        let mut line = String::new();
        let read = self.stream.borrow_mut().read_line(&mut line);
        match read {
            Ok(0) => Err(Error::Unstable(format!(
                "the QEMU of {} has ended",
                self.socket
            ))),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| self.wrong(&format!("not a message: {error}"))),
            Err(error) => {
                let seconds = PATIENCE.as_secs();
                let what = match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!(
                        "{} did not answer for {seconds} s: another client may be connected to it",
                        self.socket
                    ),
                    _ => format!("cannot read {}", self.socket),
                };
                Err(Error::system(what, error))
            }
        }
    }

    fn understand<T: for<'de> Deserialize<'de>>(&self, value: Value) -> Result<T> {
        serde_json::from_value(value).map_err(|error| self.wrong(&error.to_string()))
    }

    fn wrong(&self, problem: &str) -> Error {
        Error::input(&self.socket, 0, problem)
    }
}

fn add(sum: &mut View, row: Row) {
    match sum.reasons.iter_mut().find(|old| old.reason == row.reason) {
        Some(old) => {
            old.exits = old.exits.saturating_add(row.exits);
            old.cycles = old.cycles.saturating_add(row.cycles);
        }
        None => sum.reasons.push(row),
    }
}

fn no_statistics(socket: &str) -> Error {
    Error::NoStatistics(format!(
        "no exit statistics by {socket}: its VM's statistics have no {EXITS}.\nKVM has not the \
         exit statistics built in, or they are off (kvm.exit_stats=0), or the VM does not use KVM."
    ))
}
