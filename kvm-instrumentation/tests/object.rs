// SPDX-License-Identifier: GPL-2.0
//! Expect that the kernel's root compiles against the header, to an object that
//! cannot panic and takes no lock.
//!
//! The root is built as Kbuild does it, against a stand-in for the `kernel` crate
//! whose bindings are made from the header by bindgen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOM: &str = env!("CARGO_MANIFEST_DIR");

/// A folder of its own with a copy of the sources, to build or to break.
struct Build {
    dir: PathBuf,
}

impl Build {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for entry in fs::read_dir(Path::new(ROOM).join("src")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
        }
        fs::copy(
            Path::new(ROOM).join("exit_stats.h"),
            dir.join("exit_stats.h"),
        )
        .unwrap();
        Self { dir }
    }

    /// Replaces what must occur once.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn rustc(&self, arguments: &[&str]) -> Output {
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        Command::new(rustc)
            .current_dir(&self.dir)
            // As Kbuild sets it, for the two -Z options.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["--edition=2021", "--crate-type=rlib", "-Cpanic=abort"])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Builds exit_stats.o; `Err` holds what the compilers said.
    fn object(&self) -> Result<PathBuf, String> {
        let bindings = bindgen::Builder::default()
            .header(self.dir.join("exit_stats.h").to_str().unwrap())
            .clang_args(["-I", &format!("{ROOM}/tests/host"), "-funsigned-char"])
            .use_core()
            .ctypes_prefix("ffi")
            .allowlist_item("exit_stats_.*")
            .allowlist_item("EXIT_STATS_.*")
            .layout_tests(false)
            .generate()
            .map_err(|error| error.to_string())?;
        bindings
            .write_to_file(self.dir.join("bindings.rs"))
            .unwrap();
        fs::write(
            self.dir.join("kernel.rs"),
            "#![no_std]
            #![allow(warnings)]
            pub mod ffi {
                pub type c_char = u8;
                pub use core::ffi::{c_uchar, c_uint, c_ulong, c_ulonglong, c_void};
            }
            pub mod bindings { use crate::ffi; include!(\"bindings.rs\"); }",
        )
        .unwrap();
        let done = self.rustc(&["kernel.rs", "-olibkernel.rlib"]);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let done = self.rustc(&[
            "exit_stats.rs",
            "-Zcrate-attr=no_std",
            "-Zunstable-options",
            "--extern=kernel=libkernel.rlib",
            "-Copt-level=2",
            "-Coverflow-checks=y",
            "-Ccodegen-units=1",
            "-Crelocation-model=static",
            "-Ccode-model=kernel",
            "-Cno-redzone=y",
            "-Cforce-unwind-tables=n",
            "-Dwarnings",
            "-Dmissing_docs",
            "-Dunreachable_pub",
            "-Drust_2018_idioms",
            "-Dunsafe_op_in_unsafe_fn",
            "--emit=obj=exit_stats.o",
        ]);
        match done.status.success() {
            true => Ok(self.dir.join("exit_stats.o")),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
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
fn the_object_needs_nothing_cannot_panic_and_locks_nothing() {
    let object = Build::new("object").object().unwrap();
    let symbols = tool("nm", &[], &object);
    let undefined: Vec<_> = symbols
        .lines()
        .filter(|line| line.contains(" U "))
        .collect();
    // The two are the kernel's own as well.
    let foreign = undefined
        .iter()
        .filter(|line| !line.ends_with(" memset") && !line.ends_with(" memcpy"));
    assert_eq!(foreign.count(), 0, "{undefined:?}");
    assert!(!symbols.contains("panic"), "{symbols}");
    let code = tool("objdump", &["-d", "--no-show-raw-insn"], &object);
    for line in code.lines() {
        let (_, instruction) = line.split_once('\t').unwrap_or_default();
        let exchanges = instruction.starts_with("xchg") && instruction.contains('(');
        assert!(!exchanges && !instruction.starts_with("lock"), "{line}");
    }
    // On the way of every exit: 27 of these without histograms, 41 with, and the rest
    // is for what is rare.
    let instructions = instructions(&object, "exit_stats_handled");
    assert!((27..60).contains(&instructions.len()), "{instructions:#?}");
    let calls = instructions.iter().filter(|i| i.starts_with("call"));
    assert_eq!(calls.count(), 0, "{instructions:#?}");
}

#[test]
fn the_header_compiles_as_c() {
    for compiler in ["cc", "clang-19"] {
        let Ok(output) = Command::new(compiler)
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
        else {
            assert_ne!(compiler, "cc", "there is no C compiler");
            continue;
        };
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{compiler}: {message}");
    }
}

#[test]
fn the_headers_inline_part_latches_the_basic_reason_and_the_level() {
    let build = Build::new("latch");
    let program = r#"
        #include "exit_stats.h"
        static struct exit_stats_vcpu s;
        int main(void)
        {
            s.clock.start = 7;
            exit_stats_exit(&s, 0x8c00000a, false);
            if (s.clock.reason != 10 || s.clock.phase != EXIT_STATS_HANDLING_L1)
                return 1;
            exit_stats_exit(&s, 0xffff, true);
            return s.clock.reason != 0xffff || s.clock.phase != EXIT_STATS_HANDLING_L2 ||
                   s.clock.start != 7;
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
fn what_differs_between_header_and_rust_does_not_compile() {
    let cases = [
        (
            "a wider argument",
            "u32 event, u64 tsc",
            "u64 event, u64 tsc",
        ),
        (
            "an argument more",
            "void exit_stats_arm(bool on, u64 tsc)",
            "void exit_stats_arm(bool on, u64 tsc, u32 x)",
        ),
        (
            "another result",
            "u32 exit_stats_query_begin",
            "void exit_stats_query_begin",
        ),
        (
            "fields exchanged",
            "\tu64 blocked;\n\tu64 user;",
            "\tu64 user;\n\tu64 blocked;",
        ),
        (
            "a longer structure",
            "\tu32 broken;",
            "\tu32 broken;\n\tu64 more;",
        ),
        (
            "another number",
            "#define EXIT_STATS_L2 7",
            "#define EXIT_STATS_L2 6",
        ),
        (
            "another event",
            "#define EXIT_STATS_SCHED_IN 5",
            "#define EXIT_STATS_SCHED_IN 4",
        ),
        (
            "less alignment",
            "\tu64 generation;\n\tu64 reserved[5];\n} __aligned(64);",
            "\tu64 generation;\n\tu64 reserved[5];\n} __aligned(32);",
        ),
    ];
    for (what, from, to) in cases {
        let build = Build::new("drift");
        build.replace("exit_stats.h", from, to);
        assert!(build.object().is_err(), "{what} compiled");
    }
    // And a function that only one side has.
    let build = Build::new("drift");
    build.replace("boundary.rs", "fn exit_stats_arm", "fn exit_stats_disarm");
    assert!(build.object().is_err());
}
