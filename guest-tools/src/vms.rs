// SPDX-License-Identifier: GPL-2.0
//! `vmxscope vms`: the VMs of this host.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::args::VmsArgs;
use crate::error::{Error, Result};
use crate::format;
use crate::host::{Host, Vm};
use crate::output::Output;
use crate::processor::Processor;
use crate::table::{self, figures, words, Column};
use crate::units::{grouped, time};
use crate::view::{Row, View};

const COLUMNS: [Column; 8] = [
    figures("pid", 0),
    words("name"),
    figures("vcpus", 1),
    figures("exits", 0),
    figures("handling", 0),
    figures("blocked", 3),
    figures("userspace", 2),
    words("most time in"),
];

#[derive(Serialize)]
struct Line<'a> {
    pid: Option<u32>,
    name: &'a str,
    vcpus: Option<usize>,
    exits: u64,
    cycles: u64,
    seconds: Option<f64>,
    blocked_cycles: u64,
    userspace_cycles: u64,
}

/// Runs the command.
pub fn run(args: &VmsArgs, processor: &dyn Processor, out: &mut Output<'_>) -> Result<()> {
    let host = Host::open(Path::new("/"), processor)?;
    list(&host, args, out)
}

/// Lists the VMs of a host.
pub fn list(host: &Host, args: &VmsArgs, out: &mut Output<'_>) -> Result<()> {
    let mut views: Vec<(Option<Vm>, View)> = Vec::new();
    for vm in host.vms()? {
        match host.read(Some(&vm)) {
            Ok(view) => views.push((Some(vm), view)),
            // It ended meanwhile.
            Err(Error::Unstable(_)) => (),
            Err(error) => return Err(error),
        }
    }
    views.push((None, host.read(None)?));
    if args.form.prometheus {
        // The host's sum would be counted twice.
        let only: Vec<View> = views
            .into_iter()
            .filter(|(vm, _)| vm.is_some())
            .map(|(_, view)| view)
            .collect();
        return format::prometheus(out, &only);
    }
    let lines: Vec<Line<'_>> = views
        .iter()
        .map(|(vm, view)| line(vm.as_ref(), view))
        .collect();
    if args.form.json {
        return format::json(out, &lines);
    }
    if args.form.csv {
        let mut csv = csv::Writer::from_writer(out);
        for line in &lines {
            csv.serialize(line).map_err(format::csv_error)?;
        }
        return Ok(csv.flush()?);
    }
    let rows: Vec<Vec<String>> = views
        .iter()
        .map(|(vm, view)| cells(vm.as_ref(), view))
        .collect();
    table::print(out, &COLUMNS, &rows, 1)?;
    if views.len() == 1 {
        writeln!(out, "No VM runs now.")?;
    }
    Ok(())
}

fn line<'a>(vm: Option<&'a Vm>, view: &'a View) -> Line<'a> {
    Line {
        pid: vm.map(|vm| vm.pid),
        name: &view.vm,
        vcpus: vm.map(|vm| vm.vcpus),
        exits: view.total.exits,
        cycles: view.total.cycles,
        seconds: view.seconds(view.total.cycles),
        blocked_cycles: view.total.blocked,
        userspace_cycles: view.total.userspace,
    }
}

fn cells(vm: Option<&Vm>, view: &View) -> Vec<String> {
    let clock = |cycles| view.nanoseconds(cycles).map_or("-".into(), time);
    let dearest = view
        .reasons
        .iter()
        .filter(|row| row.cycles != 0)
        .max_by_key(|row| row.cycles);
    vec![
        vm.map_or(String::new(), |vm| vm.pid.to_string()),
        vm.map_or("all, with those that ended".into(), |vm| vm.name.clone()),
        vm.map_or(String::new(), |vm| vm.vcpus.to_string()),
        grouped(view.total.exits),
        clock(view.total.cycles),
        clock(view.total.blocked),
        clock(view.total.userspace),
        dearest.map_or("-".into(), |row: &Row| row.name.clone()),
    ]
}
