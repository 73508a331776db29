# SPDX-License-Identifier: GPL-2.0
# Compiles src/vmx_caps.o from the Rust files beside this one and from core,
# without the kernel crate: for any x86-64 kernel, with any rustc from 1.85 on
# that has its sources (rust-src).

core-source := $(shell $(RUSTC) --print=sysroot)/lib/rustlib/src/rust/library/core
core-edition := $(shell sed -n 's/^edition = //p' $(core-source)/Cargo.toml)

# The kernel's configuration, by its names before 6.9 and since.
core-ibt := $(CONFIG_X86_KERNEL_IBT)
core-retpoline := $(CONFIG_RETPOLINE)$(CONFIG_MITIGATION_RETPOLINE)
core-rethunk := $(CONFIG_RETHUNK)$(CONFIG_MITIGATION_RETHUNK)
core-sls := $(CONFIG_SLS)$(CONFIG_MITIGATION_SLS)

# rustc's own target without floating point, and what its options cannot say:
# calls by the kernel's thunks, and no speculation past a jump or a return.
core-features-$(core-retpoline) += +retpoline-external-thunk,+retpoline-indirect-branches,+retpoline-indirect-calls,
core-features-$(core-sls) += +harden-sls-ijmp,+harden-sls-ret,
quiet_cmd_core_target = RUSTC   $@
      cmd_core_target = $(core-rustc) -Zunstable-options --target=x86_64-unknown-none \
	--print=target-spec-json=$@ && sed -i 's/"features": "/&$(subst $(space),,$(core-features-y))/' $@

core-rustc := RUSTC_BOOTSTRAP=1 $(RUSTC)
core-no-jump-tables := $(if $(shell $(RUSTC) -C help | grep jump-tables),-Cjump-tables=n,-Zno-jump-tables)
core-flags-y := -Zunstable-options --target=$(obj)/src/target.json --sysroot=/dev/null \
	-L$(obj)/src -Cpanic=abort -Copt-level=2 -Ccodegen-units=1 -Crelocation-model=static \
	-Csymbol-mangling-version=v0 -Cforce-unwind-tables=n -Zfunction-sections=n -Zplt=y
core-flags-$(CONFIG_FRAME_POINTER) += -Cforce-frame-pointers=y
core-flags-$(core-ibt) += -Zcf-protection=branch
core-flags-$(if $(core-ibt)$(core-retpoline),y) += $(core-no-jump-tables)
core-flags-$(core-rethunk) += -Zfunction-return=thunk-extern
core-flags-$(CONFIG_CALL_PADDING) += \
	-Zpatchable-function-entry=$(CONFIG_FUNCTION_PADDING_BYTES),$(CONFIG_FUNCTION_PADDING_BYTES)

# Both only as LLVM's bitcode: the code of what is used is generated at the end.
quiet_cmd_core_rlib = RUSTC   $@
      cmd_core_rlib = $(core-rustc) $(core-flags-y) --edition=$(core-edition) --crate-type=rlib \
	--crate-name=core --cfg=no_fp_fmt_parse --cap-lints=allow -Clinker-plugin-lto --emit=link=$@ $<

# rustc wants this crate beside core. It is empty: what is missing is the kernel's to give.
quiet_cmd_core_builtins = RUSTC   $@
      cmd_core_builtins = printf '%s\n' '\#![feature(compiler_builtins)]' '\#![no_std]' \
	'\#![allow(internal_features)]' '\#![compiler_builtins]' | \
	$(core-rustc) $(core-flags-y) --edition=2021 --crate-type=rlib \
	--crate-name=compiler_builtins -Clinker-plugin-lto --emit=link=$@ -

quiet_cmd_core_object = RUSTC [M] $@
      cmd_core_object = $(core-rustc) $(core-flags-y) --edition=2021 --crate-type=staticlib \
	--crate-name=vmx_caps -Zcrate-attr=no_std -Clto=fat --emit=obj=$@ $< $(cmd_objtool)

$(obj)/src/target.json: FORCE
	$(call if_changed,core_target)

$(obj)/src/libcore.rlib: $(core-source)/src/lib.rs $(obj)/src/target.json FORCE
	$(call if_changed,core_rlib)

$(obj)/src/libcompiler_builtins.rlib: $(obj)/src/libcore.rlib FORCE
	$(call if_changed,core_builtins)

$(obj)/src/vmx_caps.o: $(src)/src/vmx_caps.rs $(obj)/src/libcompiler_builtins.rlib \
		$(wildcard $(src)/src/*.rs $(src)/src/*/*.rs) FORCE
	$(call if_changed,core_object)

targets += $(addprefix src/,target.json libcore.rlib libcompiler_builtins.rlib vmx_caps.o)
