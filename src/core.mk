# SPDX-License-Identifier: GPL-2.0
# Compiles the Rust of both modules from core alone, without a kernel:
#   make -f src/core.mk [OUT=FOLDER]
# Each becomes one object, named .prebuilt, that Kbuild links into a module of any
# x86-64 kernel: it takes the mitigations that kernels have, all of them, and what
# of them a kernel lacks costs it some bytes. Any rustc from 1.85 on with its
# sources (rust-src) will do, and the same one makes the same object.

OUT ?= target/prebuilt
RUSTC ?= rustc
rustc := RUSTC_BOOTSTRAP=1 $(RUSTC)
core-source := $(shell $(RUSTC) --print=sysroot)/lib/rustlib/src/rust/library/core
core-edition := $(shell sed -n 's/^edition = //p' $(core-source)/Cargo.toml)
no-jump-tables := $(if $(shell $(RUSTC) -C help | grep jump-tables),-Cjump-tables=n,-Zno-jump-tables)

comma := ,
empty :=
space := $(empty) $(empty)
# rustc's own target without floating point, and what its options cannot say:
# calls by the kernel's thunks, and no speculation past a jump or a return.
features := +retpoline-external-thunk +retpoline-indirect-branches +retpoline-indirect-calls \
	+harden-sls-ijmp +harden-sls-ret
flags := -Zunstable-options --target=$(OUT)/target.json --sysroot=/dev/null -L$(OUT) \
	--remap-path-prefix=$(core-source)=core -Cpanic=abort -Copt-level=2 -Ccodegen-units=1 \
	-Crelocation-model=static -Csymbol-mangling-version=v0 -Cforce-unwind-tables=n \
	-Zfunction-sections=n -Zplt=y -Zcf-protection=branch $(no-jump-tables) \
	-Zfunction-return=thunk-extern -Zpatchable-function-entry=16$(comma)16

all: $(OUT)/vmx_caps.prebuilt $(OUT)/exit_stats.prebuilt

$(OUT)/target.json: src/core.mk
	mkdir -p $(OUT)
	$(rustc) -Zunstable-options --target=x86_64-unknown-none --print=target-spec-json=$@.new
	sed 's/"features": "/&$(subst $(space),$(comma),$(features)),/' $@.new > $@
	rm $@.new

# Only as LLVM's bitcode: the code of what is used is generated at the end.
$(OUT)/libcore.rlib: $(core-source)/src/lib.rs $(OUT)/target.json
	$(rustc) $(flags) --edition=$(core-edition) --crate-type=rlib --crate-name=core \
		--cfg=no_fp_fmt_parse --cap-lints=allow -Clinker-plugin-lto --emit=link=$@ $<

# rustc wants this crate beside core. It is empty: what is missing is the kernel's to give.
$(OUT)/libcompiler_builtins.rlib: $(OUT)/libcore.rlib
	printf '%s\n' '#![feature(compiler_builtins)]' '#![allow(internal_features)]' \
		'#![compiler_builtins]' '#![no_std]' | \
		$(rustc) $(flags) --edition=2021 --crate-type=rlib --crate-name=compiler_builtins \
		-Clinker-plugin-lto --emit=link=$@ -

$(OUT)/vmx_caps.prebuilt: src/vmx_caps.rs $(wildcard src/*.rs src/*/*.rs) \
		$(OUT)/libcompiler_builtins.rlib
	$(rustc) $(flags) --edition=2021 --crate-type=staticlib --crate-name=vmx_caps \
		-Zcrate-attr=no_std -Clto=fat --emit=obj=$@ $<

# Whatever might overflow or panic leaves an undefined symbol, so that it does not link.
$(OUT)/exit_stats.prebuilt: kvm-instrumentation/src/exit_stats.rs \
		$(wildcard kvm-instrumentation/src/*.rs) $(OUT)/libcompiler_builtins.rlib
	$(rustc) $(flags) -Coverflow-checks=y --edition=2021 --crate-type=rlib \
		--crate-name=exit_stats -Cembed-bitcode=n --emit=obj=$@ $<

.PHONY: all
