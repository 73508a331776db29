// SPDX-License-Identifier: GPL-2.0
//! A tracing instance of this program's own: what it sets and counts there, nobody else
//! who traces can see or disturb, and it all goes when the instance is removed.
//!
//! Who uses an instance holds a lock on its folder, which the kernel releases however the
//! program ends. An instance that nobody has locked was left by a program that was killed,
//! and the next one removes it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{flock, FlockOperation};

use crate::error::{Error, Result};

/// Where tracefs is mounted; the second is the older place, below debugfs.
const MOUNTS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];
/// All instances of this program begin so.
const PREFIX: &str = "vmxscope-";

/// An instance, removed when this is dropped.
#[derive(Debug)]
pub struct Instance {
    folder: PathBuf,
    /// The folder itself: it holds the lock. Nothing that it refers to is kept open, for
    /// an open file would keep the instance from being removed.
    lock: Option<File>,
}

impl Instance {
    /// Makes an instance, and removes those that killed programs left.
    ///
    /// # Errors
    ///
    /// [`Error::NoStatistics`] if the kernel cannot do this, with what it lacks; the
    /// system's if it refuses.
    pub fn new(root: &Path) -> Result<Self> {
        let instances = mount(root)?.join("instances");
        remove_left_ones(&instances)?;
        loop {
            let folder = instances.join(format!("{PREFIX}{}", std::process::id()));
            fs::create_dir(&folder).map_err(|error| {
                let why = "cannot make a tracing instance, for which one has to be root";
                Error::system(format!("{why} ({})", folder.display()), error)
            })?;
            if let Some(lock) = lock(&folder, FlockOperation::LockExclusive)? {
                return Ok(Self {
                    folder,
                    lock: Some(lock),
                });
            }
            // Another program took it for one that was left, before it was locked.
        }
    }

    /// A file of the instance, by its path there.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Sets a trigger of one of KVM's events, or changes one that is there.
    ///
    /// # Errors
    ///
    /// The system's, with what the kernel says of the trigger.
    pub fn trigger(&self, event: &str, trigger: &str) -> Result<()> {
        let file = self.file(&format!("events/kvm/{event}/trigger"));
        let written = File::options()
            .append(true)
            .open(&file)
            .and_then(|mut file| file.write_all(format!("{trigger}\n").as_bytes()));
        written.map_err(|error| {
            let log = fs::read_to_string(self.file("error_log")).unwrap_or_default();
            let said = log.lines().rev().find(|line| line.contains("error:"));
            let said = said.map_or(String::new(), |line| {
                format!(" (the kernel: {})", line.trim())
            });
            Error::system(
                format!("cannot set the trigger {trigger:?} of {event}{said}"),
                error,
            )
        })
    }

    /// Removes it.
    ///
    /// # Errors
    ///
    /// The system's: then the instance is still there, and the next run removes it.
    pub fn remove(mut self) -> Result<()> {
        self.lock = None;
        fs::remove_dir(&self.folder).map_err(|error| {
            Error::system(format!("cannot remove {}", self.folder.display()), error)
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // An error is on its way already, and the next run tries again.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Whether there is an ftrace that knows KVM's events, as far as one may look.
pub fn is_there(root: &Path) -> bool {
    mount(root).is_ok()
}

/// Where tracefs is, with KVM's events.
fn mount(root: &Path) -> Result<PathBuf> {
    let mounts = MOUNTS.map(|mount| root.join(mount));
    let found = mounts.iter().find(|mount| mount.join("instances").exists());
    let missing = |text: String| Err(Error::NoStatistics(text));
    let Some(mount) = found else {
        // Only root may look into the folder.
        if let Err(error) = fs::read_dir(&mounts[0]) {
            if error.kind() == io::ErrorKind::PermissionDenied {
                let text = format!("cannot look into {}: only root may", mounts[0].display());
                return Err(Error::system(text, error));
            }
        }
        return missing(format!(
            "no tracing on this host: there is no {}/instances.\nEither tracefs is not mounted \
             (mount -t tracefs tracefs /sys/kernel/tracing), or the kernel is built without \
             CONFIG_TRACING.",
            mounts[0].display()
        ));
    };
    let event = mount.join("events/kvm/kvm_exit");
    if !event.exists() {
        return missing(format!(
            "there is no {}: KVM is not loaded (modprobe kvm_intel, or kvm_amd).",
            event.display()
        ));
    }
    if !event.join("hist").exists() {
        return missing(format!(
            "there is no {}: this kernel is built without CONFIG_HIST_TRIGGERS.",
            event.join("hist").display()
        ));
    }
    Ok(mount.clone())
}

/// Locks a folder. `None` if somebody else has it, or if it is no longer there.
fn lock(folder: &Path, how: FlockOperation) -> Result<Option<File>> {
    let Ok(file) = File::open(folder) else {
        return Ok(None);
    };
    match flock(&file, how) {
        Ok(()) => (),
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => {
            return Err(Error::system(
                format!("cannot lock {}", folder.display()),
                error,
            ));
        }
    }
    let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
    let same = inode(file.metadata()) == inode(fs::metadata(folder));
    Ok(same.then_some(file))
}

/// Removes what programs left that were killed.
fn remove_left_ones(instances: &Path) -> Result<()> {
    let what = || format!("cannot list {}", instances.display());
    let entries = fs::read_dir(instances).map_err(|error| Error::system(what(), error))?;
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let folder = entry.path();
        if let Some(lock) = lock(&folder, FlockOperation::NonBlockingLockExclusive)? {
            let removed = fs::remove_dir(&folder);
            drop(lock);
            removed.map_err(|error| {
                let text = format!(
                    "cannot remove {}, which a vmxscope left that was killed",
                    folder.display()
                );
                Error::system(text, error)
            })?;
        }
    }
    Ok(())
}
