// SPDX-License-Identifier: GPL-2.0
//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use exit_stats::abi::{Layout, LAYOUTS};

use crate::guest::layout_name;

const EXIT_CODES: &str = "\
Exit status:
  0  all went well; a reader that closes the pipe early is no error
  1  a check failed, two things differ, or something needed is missing
  2  the command line is wrong
  3  there are no exit statistics to be read here; the message says why
  4  an input could not be understood
  5  the system refused something: a file, a CPU, a device
  6  the figures kept changing under the reader";

/// What a virtual machine costs, and what the CPU below can do for it
#[derive(Debug, Parser)]
#[command(name = "vmxscope", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Colours: by terminal and NO_COLOR, or as said
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
}

impl Cli {
    /// Whether standard output belongs to a command that is run, so that this
    /// program's own output goes to standard error.
    pub fn prints_beside_a_command(&self) -> bool {
        matches!(self.command, Command::Stat(_) | Command::Record(_))
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the VM exits of this guest, or of a VM of this host, by reason, with what they cost
    Exits(ExitsArgs),
    /// List the VMs of this host
    Vms(VmsArgs),
    /// Run a command and show which exits it cost
    Stat(StatArgs),
    /// Watch the exits live
    Watch(WatchArgs),
    /// Record the exits over time, while a command runs or until interrupted
    Record(RecordArgs),
    /// Make an HTML page of recordings
    Report(ReportArgs),
    /// Show what this CPU, or that of a log, can do for virtual machines
    Caps(CapsArgs),
    /// Print the registers of a CPUID leaf, as the cpuid program does
    Leaf(LeafArgs),
    /// Test that the host serves the leaves by their rules
    Check(CheckArgs),
}

/// The form of the output; a table without one.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
pub struct Form {
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print comma-separated values with a header line
    #[arg(long, global = true)]
    pub csv: bool,
    /// Print Prometheus' text format
    #[arg(long, global = true)]
    pub prometheus: bool,
}

/// Where a guest's figures come from.
#[derive(Debug, Clone, Default, Args)]
pub struct SourceArgs {
    /// Read on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Read a host that has no discovery leaf by this layout of the course
    #[arg(long, value_name = "NAME", value_parser = layout)]
    pub layout: Option<Layout>,
    /// On a host: this VM, by the process or the name that `vmxscope vms` shows
    #[arg(long, value_name = "PID|NAME", conflicts_with_all = ["cpu", "layout"])]
    pub vm: Option<String>,
    /// On a host: all VMs together, with those that ended
    #[arg(long, conflicts_with_all = ["cpu", "layout", "vm"])]
    pub host: bool,
    /// Show what `vmxscope exits --json` saved, instead; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cpu", "layout", "vm", "host"])]
    pub from: Option<PathBuf>,
}

fn layout(text: &str) -> Result<Layout, String> {
    let known = LAYOUTS
        .into_iter()
        .find(|layout| layout_name(*layout) == text);
    known.ok_or_else(|| {
        let names: Vec<String> = LAYOUTS.into_iter().map(layout_name).collect();
        format!("the layouts are {}", names.join(", "))
    })
}

/// By what a table is sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Handling time, the dearest reason first
    #[default]
    Time,
    /// Exits, the most frequent reason first
    Count,
    /// The SDM's number
    Number,
}

/// `vmxscope exits`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  vmxscope exits                        the reasons that occurred, the dearest first
  vmxscope exits --sort count --top 5   the five most frequent
  vmxscope exits --reason hlt           one reason, with its histogram
  vmxscope exits --json > before.json   save them; --from before.json shows them again

time, average, p50 and p99 are of the handling in the host. blocked is how long the guest then
slept, and userspace how long the VMM (such as QEMU) worked for it. p50 and p99 are the ends of
the histogram's buckets: that many percent of the exits took at most so long.")]
pub struct ExitsArgs {
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = "time")]
    pub sort: Sort,
    /// Show no more than N reasons
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Show this reason only, with its histogram: a number, or a name such as hlt or EPT_VIOLATION
    #[arg(long, value_name = "NAME|N")]
    pub reason: Vec<String>,
    /// Show also the reasons that did not occur
    #[arg(long)]
    pub all: bool,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// `vmxscope vms`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope vms                         as root, on a host whose KVM has exit statistics
  vmxscope exits --vm web1             one of them
  vmxscope exits --host                all of them, with those that ended")]
pub struct VmsArgs {
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// `vmxscope stat`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope stat -- make -j2
  vmxscope stat -r 10 --sort count -- ./benchmark
  vmxscope stat -o stat.json --json -- sh -c 'curl -s http://localhost/ | wc -c'

exits are all that this guest had while the command ran. own are those by which this program
read them, idle is what the guest has anyway in such a time (--idle: measured before), and net
is what is left: the command's. The result goes to standard error, so that the command's own
output can be used; its exit status is passed on (128 + N if signal N ended it, 126 and 127 if
it could not be run).")]
pub struct StatArgs {
    /// Run the command N times and show averages, with the deviation between runs
    #[arg(short, long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub repeat: u32,
    /// Measure the idle guest for so long first, such as 500ms or 2s; 0 leaves it out
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub idle: Duration,
    /// Sort by this
    #[arg(long, value_name = "KEY", default_value = "time")]
    pub sort: Sort,
    /// Show no more than N reasons
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Write the result into this file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Read on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Read a host that has no discovery leaf by this layout of the course
    #[arg(long, value_name = "NAME", value_parser = layout)]
    pub layout: Option<Layout>,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// The command, and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `vmxscope watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope watch                       this guest, once a second
  vmxscope watch --interval 100ms
  vmxscope watch --vm web1             a VM of this host

The figures count from the start, or from the last reset (r); ? shows the keys. Histograms are
read every tenth time, for they take most of the exits that this program causes.")]
pub struct WatchArgs {
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Read so often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
}

/// `vmxscope record`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope record -o before.rec -- make -j2
  vmxscope record -o idle.rec --duration 30s --interval 500ms
  vmxscope report before.rec after.rec -o report.html

A recording has a line of JSON a view. Each view but the first and the last is read with as few
exits as can be; how many it took is in it. The command's exit status is passed on.")]
pub struct RecordArgs {
    /// Write the recording into this file
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Read so often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Without a command: end after so long, instead of by an interrupt
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    pub duration: Option<Duration>,
    /// Where the figures come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The command, and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `vmxscope report`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope report boot.rec -o report.html
  vmxscope report ept.rec shadow.rec -o compared.html
  vmxscope exits --json | vmxscope report - > now.html

The page needs nothing but itself: no script, no other file. With two or more recordings it shows
them side by side. What `vmxscope exits --json` saved is a recording of one view.")]
pub struct ReportArgs {
    /// Recordings, or saved views; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the page into this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `vmxscope caps`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  vmxscope caps                            this machine, as root
  dmesg | vmxscope caps --from -           what the module vmx_caps logged
  vmxscope caps --msr 0x482=0xfff9fffe0401e172
  vmxscope caps diff host-a.json live      in what they differ; status 1 if they do
  vmxscope caps common *.json              what a migration pool has in common
  vmxscope caps need kvm-7.3               what KVM would miss; also kvm-6.12, xen, jailhouse
  vmxscope caps explain --have 0xb5b9fffe --need 0x2299968c --msr 0x482

FILE is what this prints with --json, the log of vmx_caps, lines such as \"0x481 0x7f00000016\" or
\"IA32_VMX_BASIC = 0x...\", a shell session with rdmsr, the output of QEMU's vmxcap, a VirtualBox
log, or a log of one of the course's modules. - is standard input, and live is this machine."
)]
pub struct CapsArgs {
    /// Read this file instead of this machine
    #[arg(long, value_name = "FILE", global = true)]
    pub from: Option<String>,
    /// Decode this value of an MSR instead; may be given several times
    #[arg(long, value_name = "MSR=VALUE", value_parser = crate::caps::parse::assignment, conflicts_with = "from")]
    pub msr: Vec<(u32, u64)>,
    /// The first of the lines of bare values, as rdmsr prints them, is of this MSR
    #[arg(long, value_name = "MSR", value_parser = number, global = true)]
    pub first: Option<u32>,
    /// Print in the words of the kernel module's log
    #[arg(long, conflicts_with_all = ["json", "csv", "prometheus"])]
    pub log: bool,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
    /// Something else than to show them.
    #[command(subcommand)]
    pub command: Option<CapsCommand>,
}

/// What else can be done with capabilities.
#[derive(Debug, Clone, Subcommand)]
pub enum CapsCommand {
    /// Show in what two machines differ
    Diff {
        /// A file, - or live
        a: String,
        /// Another
        b: String,
    },
    /// Show what all of some machines have in common
    Common {
        /// Files, - or live
        #[arg(required = true, num_args = 1..)]
        files: Vec<String>,
    },
    /// Show what a hypervisor would miss
    Need {
        /// kvm-6.12, kvm-7.3, xen, jailhouse, or a TOML file of your own
        profile: String,
    },
    /// Name the bits of a hypervisor's complaint
    Explain {
        /// The MSR
        #[arg(long = "msr", value_name = "MSR", value_parser = number)]
        msr: u32,
        /// The controls that can be set, as the complaint has them
        #[arg(long, value_name = "MASK", value_parser = mask)]
        have: u64,
        /// The controls that are needed
        #[arg(long, value_name = "MASK", value_parser = mask)]
        need: u64,
    },
}

/// `vmxscope leaf`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  vmxscope leaf 0x4ffffffd -s 10          exits by CPUID, in the default layout
  vmxscope leaf 0x4ffffffd -s 0-69        all the reasons of the course, by one program
  vmxscope leaf 0x4ffffffd -s 12 --all-cpus

The output is that of `cpuid -r -l LEAF -s SUBLEAF`, with -1 unless a CPU is named.")]
pub struct LeafArgs {
    /// The leaf, EAX: decimal, or hexadecimal with 0x
    #[arg(value_parser = number)]
    pub leaf: u32,
    /// The subleaf, ECX: a number, or a range such as 0-69
    #[arg(short, long, value_name = "N|N-M", default_value = "0", value_parser = range)]
    pub subleaf: (u32, u32),
    /// Ask this CPU
    #[arg(long, value_name = "N", conflicts_with = "all_cpus")]
    pub cpu: Option<usize>,
    /// Ask each CPU in turn
    #[arg(long)]
    pub all_cpus: bool,
    /// The form of the output.
    #[command(flatten)]
    pub form: Form,
}

/// `vmxscope check`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Each line is a rule of the interface, and whether this host keeps it. The exit status is 1 if it
breaks one. With --random it also asks that many random leaves and selectors, as a guest may:
whatever the host answers, it must survive them.")]
pub struct CheckArgs {
    /// Ask on this CPU (default: the lowest that may be used)
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Also ask N random selectors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub random: u64,
    /// Begin the random numbers with this one, to repeat a run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// Reads a decimal or hexadecimal number of 32 bits.
pub fn number(text: &str) -> Result<u32, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "not a number of 32 bits, decimal or with 0x".into())
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    match last.checked_sub(first) {
        None => Err("the range ends before it begins".into()),
        Some(65536..) => Err("more than 65,536 subleaves".into()),
        Some(_) => Ok((first, last)),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(10) => Err("shorter than 10ms".into()),
        interval => Ok(interval),
    }
}

fn mask(text: &str) -> Result<u64, String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| "not a hexadecimal number of 64 bits".into())
}

/// Reads a time such as `500ms`, `2s`, `1.5s` or `3m`; without a unit it is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the units are ms, s, m and h".into()),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| "not a time such as 500ms or 2s")?;
    match number * unit {
        seconds if (0.0..=1e9).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a time between 0 and some years".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_the_options_are_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_wrong_ones_are_refused() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "5 parsecs", "nan", "inf", "1e30h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
