// SPDX-License-Identifier: GPL-2.0
//! Code of running processes, by the files that they have mapped.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use procfs::process::{self, MMPermissions, MMapPath, Process};

/// What processes had mapped as code.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    known: BTreeSet<Mapping>,
    files: RefCell<BTreeMap<PathBuf, Option<Code>>>,
}

/// A part of a file, at these addresses of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mapping {
    first: u64,
    end: u64,
    /// Where in the file it begins.
    offset: u64,
    file: PathBuf,
}

impl Mappings {
    /// Adds what a process has mapped, and those that it has started. One that ended just
    /// now has nothing any more, and adds nothing.
    pub fn add(&mut self, process: i32) {
        let mut parents = BTreeMap::new();
        for one in process::all_processes().into_iter().flatten().flatten() {
            if let Ok(stat) = one.stat() {
                parents.insert(stat.pid, stat.ppid);
            }
        }
        let is_ours = |pid: &&i32| {
            let mut at = **pid;
            while at != process {
                match parents.get(&at) {
                    Some(parent) if *parent != at => at = *parent,
                    _ => return false,
                }
            }
            true
        };
        for pid in parents.keys().filter(is_ours) {
            let maps = Process::new(*pid).and_then(|process| process.maps());
            for map in maps.into_iter().flatten() {
                if let (true, MMapPath::Path(file)) =
                    (map.perms.contains(MMPermissions::EXECUTE), map.pathname)
                {
                    self.known.insert(Mapping {
                        first: map.address.0,
                        end: map.address.1,
                        offset: map.offset,
                        file,
                    });
                }
            }
        }
    }

    /// `write+0x17 libc.so.6`, or where the file tells no name `bash+0x2a1b0`. `None` if no
    /// process had code there, or several had different code there.
    pub fn name(&self, address: u64) -> Option<String> {
        let has = |map: &&Mapping| (map.first..map.end).contains(&address);
        let mut found = self.known.iter().filter(has);
        let place = |map: &Mapping| (address - map.first + map.offset, map.file.clone());
        let (offset, file) = place(found.next()?);
        if found.any(|other| place(other) != (offset, file.clone())) {
            return None;
        }
        let mut files = self.files.borrow_mut();
        let code = files
            .entry(file.clone())
            .or_insert_with(|| Code::read(&file));
        let short = file.file_name()?.to_string_lossy().into_owned();
        let named = code.as_ref().and_then(|code| code.name(offset));
        Some(match named {
            Some(name) => format!("{name} {short}"),
            None => format!("{short}+{offset:#x}"),
        })
    }
}

/// What an ELF file tells of its code.
#[derive(Debug, Clone, Default)]
struct Code {
    /// Places in the file, their length, and the addresses that they are linked at.
    segments: Vec<(u64, u64, u64)>,
    /// Functions by their address: their length and name.
    functions: BTreeMap<u64, (u64, String)>,
}

impl Code {
    fn read(file: &Path) -> Option<Self> {
        let bytes = fs::read(file).ok()?;
        let elf = object::File::parse(&*bytes).ok()?;
        let segments = elf.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            (offset, size, segment.address())
        });
        let mut code = Self {
            segments: segments.collect(),
            functions: BTreeMap::new(),
        };
        for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
            if let (SymbolKind::Text, Ok(name)) = (symbol.kind(), symbol.name()) {
                let function = (symbol.size(), name.to_string());
                let known = code.functions.entry(symbol.address());
                // Of several names the one that programs use.
                let known = known.or_insert_with(|| function.clone());
                if known.1.starts_with('_') && !name.starts_with('_') {
                    *known = function;
                }
            }
        }
        Some(code)
    }

    fn name(&self, offset: u64) -> Option<String> {
        let in_it = |&&(first, size, _): &&(u64, u64, u64)| {
            offset.checked_sub(first).is_some_and(|into| into < size)
        };
        let (first, _, linked) = self.segments.iter().find(in_it)?;
        let address = linked.checked_add(offset - first)?;
        let (start, (size, name)) = self.functions.range(..=address).next_back()?;
        match address - start {
            into if into >= *size => None,
            0 => Some(name.clone()),
            into => Some(format!("{name}+{into:#x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_code_has_the_name_of_its_function() {
        let mut mappings = Mappings::default();
        mappings.add(std::process::id() as i32);
        // As the compiler knows it; the symbol table has a mangled name.
        let address = own_code_has_the_name_of_its_function as *const () as u64;
        let name = mappings.name(address).unwrap();
        assert!(name.contains("own_code_has_the_name"), "{name}");
        let of_libc = libc_function();
        let name = mappings.name(of_libc).unwrap();
        assert!(name.starts_with("getpid libc.so"), "{name}");
        assert_eq!(mappings.name(8), None);
    }

    fn libc_function() -> u64 {
        extern "C" {
            fn getpid() -> i32;
        }
        getpid as *const () as u64
    }

    #[test]
    fn where_processes_have_different_code_nothing_is_told() {
        let map = |offset, file: &str| Mapping {
            first: 0x40_0000,
            end: 0x40_1000,
            offset,
            file: file.into(),
        };
        let mut mappings = Mappings::default();
        mappings.known.insert(map(0x1000, "/no/such/a"));
        assert_eq!(mappings.name(0x40_0010).unwrap(), "a+0x1010");
        mappings.known.insert(map(0x1000, "/no/such/b"));
        assert_eq!(mappings.name(0x40_0010), None);
    }
}
