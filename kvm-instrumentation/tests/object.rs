// SPDX-License-Identifier: GPL-2.0
//! Expect that the kernel's rules make an object that cannot panic and takes no
//! lock, and that Rust and the header agree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOM: &str = env!("CARGO_MANIFEST_DIR");

/// What Kbuild provides to the rules that build the object, with the mitigations of a
/// distribution's kernel.
const KBUILD: &str = "
    src := .
    obj := .
    empty :=
    space := $(empty) $(empty)
    if_changed = $(cmd_$(1))
    RUSTC ?= rustc
    RUSTC_OR_CLIPPY = $(RUSTC)
    RETHUNK_RUSTFLAGS := -Zfunction-return=thunk-extern
    PADDING_RUSTFLAGS := -Zpatchable-function-entry=16,16
    CONFIG_KVM_EXIT_STATS := y
    CONFIG_X86_KERNEL_IBT := y
    CONFIG_MITIGATION_RETPOLINE := y
    CONFIG_MITIGATION_RETHUNK := y
    CONFIG_MITIGATION_SLS := y
    CONFIG_CALL_PADDING := y
    CONFIG_WERROR := y
    rust_common_flags := -Wmissing_docs -Wunreachable_pub -Wrust_2018_idioms \\
        -Dunsafe_op_in_unsafe_fn
    include exit_stats/Makefile
    FORCE:
";

/// A folder of its own with a copy of the sources, to build or to break.
struct Build {
    dir: PathBuf,
}

impl Build {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("exit_stats")).unwrap();
        for entry in fs::read_dir(Path::new(ROOM).join("src")).unwrap() {
            let path = entry.unwrap().path();
            // The reader's parts, which are no part of the object.
            if path.is_dir() {
                continue;
            }
            fs::copy(
                &path,
                dir.join("exit_stats").join(path.file_name().unwrap()),
            )
            .unwrap();
        }
        for (from, to) in [
            ("exit_stats.h", "exit_stats.h"),
            ("tests/drift/drift.rs", "exit_stats/drift.rs"),
        ] {
            fs::copy(Path::new(ROOM).join(from), dir.join(to)).unwrap();
        }
        Self { dir }
    }

    /// Replaces what must occur once.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Runs a program in the folder, with unstable options as Kbuild allows them; `Err`
    /// holds what it said.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new(program)
            .current_dir(&self.dir)
            .env("RUSTC_BOOTSTRAP", "1")
            .args(arguments)
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Builds exit_stats.o by the rules that the kernel builds it by.
    fn object(&self) -> PathBuf {
        fs::write(self.dir.join("Makefile"), KBUILD).unwrap();
        let rustc = std::env::var("RUSTC").unwrap_or("rustc".into());
        self.run(
            "make",
            &[&format!("RUSTC={rustc}"), "exit_stats/exit_stats.o"],
        )
        .unwrap();
        self.dir.join("exit_stats/exit_stats.o")
    }

    /// Compiles the root with bindgen's reading of the header as the types and
    /// functions of C.
    fn against_header(&self) -> Result<(), String> {
        let bindings = bindgen::Builder::default()
            .header(self.dir.join("exit_stats.h").to_str().unwrap())
            .clang_args(["-I", &format!("{ROOM}/tests/host")])
            .use_core()
            .allowlist_item("exit_stats_.*")
            .allowlist_item("EXIT_STATS_.*")
            .layout_tests(false)
            .raw_line("#![allow(warnings)]")
            .generate()
            .map_err(|error| error.to_string())?;
        bindings
            .write_to_file(self.dir.join("exit_stats/c.rs"))
            .unwrap();
        self.replace("exit_stats/exit_stats.rs", "mod c;", "mod c;\nmod drift;");
        let rustc = std::env::var("RUSTC").unwrap_or("rustc".into());
        self.run(
            &rustc,
            &[
                "--edition=2021",
                "--crate-type=rlib",
                "--emit=metadata",
                "exit_stats/exit_stats.rs",
            ],
        )
    }
}

fn tool(name: &str, arguments: &[&str], object: &Path) -> String {
    let output = Command::new(name)
        .args(arguments)
        .arg(object)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name} failed");
    String::from_utf8(output.stdout).unwrap()
}

/// The instructions of one function.
fn instructions(object: &Path, function: &str) -> Vec<String> {
    let disassemble = format!("--disassemble={function}");
    let text = tool("objdump", &["--no-show-raw-insn", &disassemble], object);
    let listed = text.lines().filter_map(|line| line.split_once(":\t"));
    listed
        .map(|(_, instruction)| instruction.trim().to_string())
        .collect()
}

#[test]
#[cfg_attr(miri, ignore = "Miri runs no other program, such as a compiler")]
fn the_object_needs_nothing_cannot_panic_and_locks_nothing() {
    let object = Build::new("object").object();
    let symbols = tool("nm", &[], &object);
    let undefined: Vec<_> = symbols
        .lines()
        .filter(|line| line.contains(" U "))
        .collect();
    // These are the kernel's own as well.
    let foreign = undefined.iter().filter(|line| {
        !["memset", "memcpy", "__x86_return_thunk"]
            .iter()
            .any(|own| line.ends_with(&format!(" {own}")))
    });
    assert_eq!(foreign.count(), 0, "{undefined:?}");
    assert!(!symbols.contains("panic"), "{symbols}");
    // Modules have no table of addresses.
    let relocations = tool("objdump", &["-r"], &object);
    assert!(!relocations.contains("GOT"), "{relocations}");
    let code = tool("objdump", &["-d", "--no-show-raw-insn"], &object);
    for line in code.lines() {
        let (_, instruction) = line.split_once('\t').unwrap_or_default();
        let exchanges = instruction.starts_with("xchg") && instruction.contains('(');
        assert!(!exchanges && !instruction.starts_with("lock"), "{line}");
    }
    // On the way of every exit: 30 of these without histograms, 44 with, and the rest is
    // for what is rare.
    let instructions = instructions(&object, "exit_stats_handled");
    assert!((1..80).contains(&instructions.len()), "{instructions:#?}");
    let calls = instructions.iter().filter(|i| i.starts_with("call"));
    assert_eq!(calls.count(), 0, "{instructions:#?}");
}

#[test]
#[cfg_attr(miri, ignore = "Miri runs no other program, such as a compiler")]
fn the_header_compiles_as_c() {
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-function",
            "-fsyntax-only",
            "-xc",
        ])
        .args([
            "-I",
            &format!("{ROOM}/tests/host"),
            &format!("{ROOM}/exit_stats.h"),
        ])
        .output()
        .expect("there is a C compiler");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}

#[test]
#[cfg_attr(miri, ignore = "Miri runs no other program, such as a compiler")]
fn the_headers_inline_part_latches_the_basic_reason_and_the_level() {
    let build = Build::new("latch");
    let program = r#"
        #include "exit_stats.h"
        static struct exit_stats_vcpu v;
        int main(void)
        {
            v.latest = EXIT_STATS_OVER;
            exit_stats_exit(&v, 0x8c00000a, 0, 7);
            if ((u16)v.latest != 10 || v.latest >> 32 || v.start != 7)
                return 1;
            exit_stats_exit(&v, 0xffff, 1, 8);
            return v.latest != (0xffff | EXIT_STATS_FROM_L2) || v.start != 8;
        }"#;
    fs::write(build.dir.join("latch.c"), program).unwrap();
    let compiled = Command::new("cc")
        .current_dir(&build.dir)
        .args([
            "-Wall",
            "-Werror",
            "-I.",
            "-I",
            &format!("{ROOM}/tests/host"),
        ])
        .args(["latch.c", "-olatch"])
        .status();
    assert!(compiled.unwrap().success());
    let run = Command::new(build.dir.join("latch")).status();
    assert!(run.unwrap().success());
}

#[test]
#[cfg_attr(miri, ignore = "Miri runs no other program, such as a compiler")]
fn what_differs_between_header_and_rust_does_not_compile() {
    let cases = [
        ("a wider argument", "*v, u32 event", "*v, u64 event"),
        (
            "an argument more",
            "void exit_stats_clear(struct exit_stats *dst)",
            "void exit_stats_clear(struct exit_stats *dst, u32 x)",
        ),
        (
            "another result",
            "u32 exit_stats_reason(u32",
            "void exit_stats_reason(u32",
        ),
        (
            "fields exchanged",
            "\tu64 failed;\n\tu64 emulated;",
            "\tu64 emulated;\n\tu64 failed;",
        ),
        (
            "a longer structure",
            "\tbool entry;",
            "\tbool entry;\n\tu64 more;",
        ),
        (
            "another number",
            "#define EXIT_STATS_L2 7",
            "#define EXIT_STATS_L2 6",
        ),
        (
            "another event",
            "#define EXIT_STATS_SCHED_IN 6",
            "#define EXIT_STATS_SCHED_IN 5",
        ),
        (
            "less alignment",
            "\tu64 row[EXIT_STATS_ROWS][8];\n} __aligned(64);",
            "\tu64 row[EXIT_STATS_ROWS][8];\n} __aligned(32);",
        ),
    ];
    Build::new("drift").against_header().unwrap();
    for (what, from, to) in cases {
        let build = Build::new("drift");
        build.replace("exit_stats.h", from, to);
        assert!(build.against_header().is_err(), "{what} compiled");
    }
    // And a function that only one side has.
    let build = Build::new("drift");
    build.replace(
        "exit_stats/boundary.rs",
        "fn exit_stats_clear",
        "fn exit_stats_empty",
    );
    assert!(build.against_header().is_err());
}
