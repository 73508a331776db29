// SPDX-License-Identifier: GPL-2.0
//! Expect that Prometheus can read what the exporter gives, by a file or by HTTP, and
//! that it ends as services do.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::host::host;
use common::metrics::{parse, Sample};
use common::{failure, printed, Machine};

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmxscope"));
    command.args(["exporter"]).args(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let fits = |sample: &&Sample| {
        sample.name == name
            && labels
                .iter()
                .all(|(key, value)| sample.labels.get(*key).is_some_and(|is| is == value))
    };
    let found: Vec<&Sample> = samples.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].value
}

fn terminate(child: Child) -> Output {
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    child.wait_with_output().unwrap()
}

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

/// The head and the body of an answer.
fn get(address: &str, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.into(), body.into())
}

#[test]
fn each_vm_is_served_by_its_own_name_until_sigterm() {
    let folder = host("listen");
    // Two VMs of one name would be one series twice.
    let cmdline = folder.0.join("proc/977/cmdline");
    fs::write(cmdline, "qemu\0-name\0web1").unwrap();
    let words = [
        "--listen",
        "127.0.0.1:0",
        "--vms",
        "--root",
        folder.0.to_str().unwrap(),
    ];
    let mut child = program(&words).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.split('/').nth(2).unwrap();
    let (head, body) = get(address, "GET", "/metrics");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let samples = parse(&body);
    let vms: BTreeSet<&str> = samples
        .iter()
        .map(|sample| sample.labels["vm"].as_str())
        .collect();
    assert_eq!(vms, BTreeSet::from(["web1-4211", "web1-977"]));
    let hlt = [("vm", "web1-4211"), ("reason", "HLT")];
    assert_eq!(value(&samples, "vmxscope_exits_total", &hlt), 150.0);
    assert!(get(address, "GET", "/other").0.starts_with("HTTP/1.0 404"));
    assert!(get(address, "POST", "/metrics")
        .0
        .starts_with("HTTP/1.0 405"));
    // What cannot be read is an error of the scrape, and not the end.
    fs::remove_dir_all(folder.0.join("sys")).unwrap();
    let (head, body) = get(address, "GET", "/metrics");
    assert!(
        head.starts_with("HTTP/1.0 503") && body.contains("cannot list"),
        "{head}{body}"
    );
    let output = terminate(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, message) = failure(&Machine::booted(), &["exporter", "--listen", &address]);
    assert_eq!(status, 5);
    assert!(message.contains(&address), "{message}");
}
