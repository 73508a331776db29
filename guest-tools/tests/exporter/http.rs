// SPDX-License-Identifier: GPL-2.0
//! The server.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::Duration;

use crate::common::host::host;
use crate::common::metrics::parse;
use crate::common::{failure, Machine};
use crate::{program, terminate, value, with_frequency};

/// The head and the body of an answer.
fn get(address: &str, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
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
        head.starts_with("HTTP/1.0 503") && body.contains("no exit statistics on this host"),
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

/// Starts a server; gives its address.
fn serve(words: &[&str]) -> (Child, String) {
    let mut child = program(&[&["--listen", "127.0.0.1:0"], words].concat())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.split('/').nth(2).unwrap().to_string();
    (child, address)
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let folder = with_frequency("stuck", Some(2_000_000));
    // A page that fits into no buffer of a connection.
    let kvm = folder.0.join("sys/kernel/debug/kvm");
    let table = fs::read_to_string(kvm.join("exit_stats_raw")).unwrap();
    for vm in 0..200 {
        let vm = kvm.join(format!("{vm}-1"));
        fs::create_dir(&vm).unwrap();
        fs::write(vm.join("exit_stats_raw"), &table).unwrap();
    }
    let (child, address) = serve(&["--vms", "--root", folder.0.to_str().unwrap()]);
    let stuck: Vec<TcpStream> = (0..1)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let (head, _) = get(&address, "HEAD", "/metrics");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    let output = terminate(child);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    drop(stuck);
}

#[test]
fn a_vm_that_was_started_again_is_found_again() {
    let folder = with_frequency("restarted", Some(2_000_000));
    let (child, address) = serve(&["--vm", "web1", "--root", folder.0.to_str().unwrap()]);
    assert!(get(&address, "GET", "/metrics")
        .0
        .starts_with("HTTP/1.0 200"));
    let kvm = folder.0.join("sys/kernel/debug/kvm");
    fs::rename(kvm.join("4211-14"), folder.0.join("kept")).unwrap();
    assert!(get(&address, "GET", "/metrics")
        .0
        .starts_with("HTTP/1.0 503"));
    fs::rename(folder.0.join("kept"), kvm.join("5000-9")).unwrap();
    fs::rename(folder.0.join("proc/4211"), folder.0.join("proc/5000")).unwrap();
    let (head, body) = get(&address, "GET", "/metrics");
    assert!(
        head.starts_with("HTTP/1.0 200") && body.contains("vm=\"web1\""),
        "{head}{body}"
    );
    assert_eq!(terminate(child).status.code(), Some(0));
}

#[test]
fn an_address_may_be_a_port_or_a_hosts_name() {
    let folder = with_frequency("address", Some(2_000_000));
    // The C library looks 127.1 up as a name, and needs no file of names for that.
    for listen in [":0", "127.1:0"] {
        let mut child = program(&[
            "--listen",
            listen,
            "--host",
            "--root",
            folder.0.to_str().unwrap(),
        ])
        .spawn()
        .unwrap();
        let mut line = String::new();
        let mut from = BufReader::new(child.stdout.take().unwrap());
        from.read_line(&mut line).unwrap();
        let port = line.split('/').nth(2).unwrap().rsplit_once(':').unwrap().1;
        let address = format!("127.0.0.1:{port}");
        assert!(get(&address, "GET", "/").0.starts_with("HTTP/1.0 200"));
        assert_eq!(terminate(child).status.code(), Some(0));
    }
    let output = program(&["--listen", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
