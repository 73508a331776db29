// SPDX-License-Identifier: GPL-2.0
//! A file for the node exporter.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::host::host;
use crate::common::metrics::parse;
use crate::common::{failure, printed, run, Machine};
use crate::{program, terminate, value, with_frequency};

#[test]
fn a_guests_file_has_the_labels_and_its_own_cost() {
    let folder = std::env::temp_dir().join(format!("vmxscope-textfile-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vmxscope.prom");
    let machine = Machine::booted();
    assert_eq!(
        printed(
            &machine,
            &["exporter", "--textfile", file.to_str().unwrap()]
        ),
        ""
    );
    let samples = parse(&fs::read_to_string(&file).unwrap());
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    fs::remove_dir_all(&folder).unwrap();
    let hlt = [("vm", "model"), ("reason", "HLT"), ("number", "12")];
    assert_eq!(value(&samples, "vmxscope_exits_total", &hlt), 150.0);
    let own = value(&samples, "vmxscope_own_exits_total", &[("vm", "model")]);
    let cpuid = [("reason", "CPUID")];
    assert_eq!(own, value(&samples, "vmxscope_exits_total", &cpuid));
    let all = [("reason", "HLT"), ("le", "+Inf")];
    assert_eq!(
        value(&samples, "vmxscope_exit_handling_seconds_bucket", &all),
        150.0
    );
}

#[test]
fn without_statistics_there_is_no_file_and_the_status_is_3() {
    let file = std::env::temp_dir().join(format!("vmxscope-none-{}.prom", std::process::id()));
    let words = ["exporter", "--textfile", file.to_str().unwrap()];
    let (status, message) = failure(&Machine::stock(), &words);
    assert_eq!((status, file.exists()), (3, false), "{message}");
    let nowhere = ["exporter", "--textfile", "/nowhere/vmxscope.prom"];
    let (status, message) = failure(&Machine::booted(), &nowhere);
    assert_eq!(status, 5);
    assert!(message.contains("/nowhere/vmxscope.prom"), "{message}");
}

#[test]
fn a_file_is_written_again_until_sigterm() {
    let folder = host("again");
    let file = folder.0.join("host.prom");
    let (root, path) = (folder.0.to_str().unwrap(), file.to_str().unwrap());
    let words = [
        "--root",
        root,
        "--host",
        "--interval=50ms",
        "--textfile",
        path,
    ];
    let child = program(&words).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let wait_for_file = || {
        while !file.exists() {
            assert!(Instant::now() < deadline, "the file is not written");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for_file();
    fs::remove_file(&file).unwrap();
    wait_for_file();
    let output = terminate(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let samples = parse(&fs::read_to_string(&file).unwrap());
    let hlt = [("vm", "host"), ("reason", "HLT")];
    assert_eq!(value(&samples, "vmxscope_exits_total", &hlt), 150.0);
}

#[test]
fn only_a_regular_file_is_replaced_and_keeps_its_permissions() {
    let folder = host("regular");
    let (root, path) = (folder.0.to_str().unwrap(), folder.0.join("x.prom"));
    let export = |path: &Path| {
        program(&["--root", root, "--host", "--textfile"])
            .arg(path)
            .output()
            .unwrap()
    };
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    // A new file is everybody's to read, as far as the umask lets it.
    assert!(export(&path).status.success());
    assert_eq!(mode() & 0o400, 0o400);
    // Less than the umask lets through, and more.
    for kept in [0o640, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        assert!(export(&path).status.success());
        assert_eq!(mode(), kept);
    }
    // A link leads to the file that is replaced.
    let link = folder.0.join("link.prom");
    symlink(&path, &link).unwrap();
    fs::write(&path, "old").unwrap();
    assert!(export(&link).status.success());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&path).unwrap().starts_with("# HELP"));
    // Devices and pipes are left alone.
    let fifo = folder.0.join("fifo");
    assert!(Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap()
        .success());
    for special in [fifo.as_path(), Path::new("/dev/null")] {
        let output = export(special);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!fs::metadata(special).unwrap().is_file());
    }
}

#[test]
fn the_bad_file_of_one_vm_is_told_and_the_others_are_exported() {
    let folder = with_frequency("bad", Some(2_000_000));
    let bad = folder.0.join("sys/kernel/debug/kvm/977-12/exit_stats_raw");
    fs::write(&bad, "reason\tnonsense\n").unwrap();
    let file = folder.0.join("x.prom");
    let words = [
        "--vms",
        "--root",
        folder.0.to_str().unwrap(),
        "--textfile",
        file.to_str().unwrap(),
    ];
    let output = program(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("977-12/exit_stats_raw"));
    let samples = parse(&fs::read_to_string(file).unwrap());
    let hlt = [("vm", "web1"), ("reason", "HLT")];
    assert_eq!(value(&samples, "vmxscope_exits_total", &hlt), 150.0);
    let (result, text) = run(
        &Machine::stock(),
        &["vms", "--root", folder.0.to_str().unwrap()],
    );
    assert_eq!(result.unwrap_err().status(), 4);
    assert!(text.contains("web1"), "{text}");
}
