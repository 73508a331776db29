// SPDX-License-Identifier: GPL-2.0
//! `vmxscope report`: recordings as a page that anyone can open.

mod causes;
pub mod charts;
pub mod facts;
pub mod html;

use std::collections::BTreeSet;
use std::path::Path;

use crate::args::ReportArgs;
use crate::error::{Error, Result};
use crate::input::DASH;
use crate::output::Output;
use crate::recording;
use facts::Facts;

/// Runs the command.
pub fn run(args: &ReportArgs, out: &mut Output<'_>) -> Result<()> {
    let mut all = Vec::new();
    for file in &args.files {
        let recording = recording::open(file)?;
        let name = file.display().to_string();
        let facts = Facts::of(&recording)
            .ok_or_else(|| Error::input(&name, 0, "its views do not follow one another"))?;
        all.push(facts);
    }
    shorten(&mut all);
    let page = html::page(&all);
    match &args.output {
        None => out.bytes(page.as_bytes())?,
        Some(path) if path == Path::new(DASH) => out.bytes(page.as_bytes())?,
        Some(path) => {
            let what = format!("cannot write {}", path.display());
            std::fs::write(path, page).map_err(|error| Error::system(what, error))?;
        }
    }
    Ok(())
}

/// Names recordings by their files' names, if these tell them apart.
fn shorten(all: &mut [Facts]) {
    let short = |facts: &Facts| {
        let name = Path::new(&facts.name).file_name()?;
        Some(name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = all.iter().filter_map(short).collect();
    if names.iter().collect::<BTreeSet<_>>().len() == all.len() {
        for (facts, name) in all.iter_mut().zip(names) {
            facts.name = name;
        }
    }
}
