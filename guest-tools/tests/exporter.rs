// SPDX-License-Identifier: GPL-2.0
//! Expect that Prometheus can read what the exporter gives, by a file or by HTTP, and
//! that it ends as services do.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::host::{host, raw, Folder};
use common::metrics::{parse, Sample};
use common::{failure, printed, run, Machine, TSC_KHZ};
use vmxscope::host::Host;

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

/// Ends it as services are ended; one that does not end in time is a failure.
fn terminate(mut child: Child) -> Output {
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= deadline {
            child.kill().unwrap();
            panic!("SIGTERM does not end it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
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

/// A host whose kernel's table tells the frequency of the clock, or does not.
fn with_frequency(name: &str, khz: Option<u32>) -> Folder {
    let folder = host(name);
    for file in [
        "exit_stats_raw",
        "4211-14/exit_stats_raw",
        "977-12/exit_stats_raw",
    ] {
        let path = folder.0.join("sys/kernel/debug/kvm").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let clocks = |line: &&str| !line.starts_with(['t', 'm']);
        let lines: Vec<&str> = text.lines().filter(clocks).collect();
        let (head, rest) = (lines[0], lines[1..].join("\n"));
        let more = khz.map_or(String::new(), |khz| {
            format!("tsc_khz\t{khz}\nmonotonic_ns\t5000000000\n")
        });
        fs::write(&path, format!("{head}\n{more}{rest}\n")).unwrap();
    }
    folder
}

fn page(folder: &Folder, more: &[&str]) -> String {
    let root = folder.0.to_str().unwrap();
    let file = folder.0.join("page.prom");
    let words = [
        &["--root", root, "--textfile", file.to_str().unwrap()],
        more,
    ]
    .concat();
    let output = program(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(file).unwrap()
}

#[test]
fn the_same_counters_are_the_same_seconds_in_every_process() {
    let folder = with_frequency("frequency", Some(1_999_000));
    let first = page(&folder, &["--host"]);
    assert_eq!(first, page(&folder, &["--host"]));
    let hlt = [("vm", "host"), ("reason", "HLT")];
    let view = Host::open(&folder.0, &Machine::patched())
        .unwrap()
        .read(None)
        .unwrap();
    let seconds = view.row(12).unwrap().cycles as f64 / 1.999e9;
    let told = value(&parse(&first), "vmxscope_handling_seconds_total", &hlt);
    assert!((told - seconds).abs() < 1e-9, "{told} {seconds}");
    assert_eq!(view.monotonic_ns, Some(5_000_000_000));
    // Where nobody tells the frequency there are no seconds, and none are made up.
    let silent = with_frequency("silent", None);
    let host = Host::open(&silent.0, &Machine::patched()).unwrap();
    assert_eq!(host.read(None).unwrap().tsc_khz, 0);
}

#[test]
fn all_hosts_have_the_same_buckets_and_all_of_them() {
    let ends = |folder: &Folder| {
        let mut ends = BTreeMap::<String, Vec<String>>::new();
        for sample in parse(&page(folder, &["--vms"])) {
            if sample.name.ends_with("_bucket") {
                let series = format!("{} {}", sample.labels["vm"], sample.labels["reason"]);
                let le = sample.labels["le"].clone();
                ends.entry(series).or_default().push(le);
            }
        }
        ends.into_values().collect::<BTreeSet<Vec<String>>>()
    };
    let mut all = ends(&with_frequency("slow", Some(1_000_000)));
    all.extend(ends(&with_frequency("fast", Some(3_700_123))));
    assert_eq!(all.len(), 1, "{all:?}");
    let ends = all.pop_first().unwrap();
    assert_eq!(ends.len(), 26);
    assert_eq!(
        (ends[0].as_str(), ends[24].as_str(), ends[25].as_str()),
        ("0.0000001", "10", "+Inf")
    );
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

/// The page of a host whose VMs had so many exits, each of 8 us.
fn page_of(name: &str, khz: u32, exits: u64) -> Vec<Sample> {
    let machine = Machine::patched();
    (0..exits).for_each(|_| machine.exit(48, u64::from(khz) * 8 / 1_000));
    let folder = host(name);
    let told = format!("tsc_khz\t{TSC_KHZ}\n");
    let table = raw(&machine).replace(&told, &format!("tsc_khz\t{khz}\n"));
    let file = folder.0.join("sys/kernel/debug/kvm/exit_stats_raw");
    fs::write(file, table).unwrap();
    parse(&page(&folder, &["--host"]))
}

/// The private tools have promtool.
#[test]
fn sums_over_hosts_of_different_frequency_are_right() {
    let mut series = String::new();
    for (host, khz) in [("slow", 1_000_000), ("fast", 3_700_000)] {
        let now = page_of(&format!("{host}-1"), khz, 100);
        for (then, now) in now.iter().zip(page_of(&format!("{host}-2"), khz, 160)) {
            assert_eq!((&then.name, &then.labels), (&now.name, &now.labels));
            let labels: Vec<String> = then
                .labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let (name, labels) = (&then.name, labels.join(","));
            let (first, more) = (then.value, now.value - then.value);
            series += &format!("  - series: '{name}{{instance=\"{host}\",{labels}}}'\n");
            series += &format!("    values: '{first}+{more}x10'\n");
        }
    }
    // 60 exits a minute on each of two hosts, of 8 us each.
    let buckets = "sum by (le) (rate(vmxscope_exit_handling_seconds_bucket[5m]))";
    let mut test = format!(
        "rule_files: [{}/../docs/prometheus-rules.yml]\ntests:\n- interval: 1m\n  input_series:\n{series}  promql_expr_test:\n",
        env!("CARGO_MANIFEST_DIR")
    );
    for expression in [
        "sum(rate(vmxscope_exits_total[5m])) == bool 2".to_string(),
        "abs(sum(rate(vmxscope_handling_seconds_total[5m])) - 16e-6) < bool 1e-12".into(),
        "abs(sum(vm:vmxscope_handling_seconds:mean5m) - 16e-6) < bool 1e-12".into(),
        format!("histogram_quantile(0.99, {buckets}) > bool 8e-6"),
        format!("histogram_quantile(0.99, {buckets}) <= bool 10e-6"),
    ] {
        test += &format!("  - expr: {expression}\n    eval_time: 10m\n    exp_samples: [{{labels: '{{}}', value: 1}}]\n");
    }
    let file = std::env::temp_dir().join(format!("vmxscope-rules-{}.yml", std::process::id()));
    fs::write(&file, test).unwrap();
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .expect("promtool runs; `make setup` unpacks it");
    assert!(output.status.success(), "{output:?}");
    fs::remove_file(file).unwrap();
}
