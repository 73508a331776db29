# SPDX-License-Identifier: GPL-2.0
# `make` alone prints the targets. Kbuild reads Kbuild, not this file.
SHELL := /bin/bash
KDIR ?= /lib/modules/$(shell uname -r)/build

EXPERIMENTS := paging boot cpus layouts baselines causes

.PHONY: help setup demo test test-all test-debug miri loom fuzz mutants mutants-since bench \
	bench-exit lab module module-clean lint patch unpatch \
	export-series kvm install deb dkms-deb kernels cache-size clean-cache experiments \
	$(EXPERIMENTS:%=experiment-%)

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' Makefile

setup: ## Fetch the private tools into the cache (the others do it by themselves)
	@scripts/setup

demo: ## Show it: every VMX capability of a Haswell, logged in an emulated one
	@scripts/demo

test: ## All tests that CI runs, the lab's included
	@scripts/run-tests

test-all: ## Those, and the whole matrix in the lab
	@scripts/run-tests --all

test-debug: ## Debug kernels, KASAN to KCSAN, find no fault of ours
	@scripts/inside --set test python3 -m pytest -q -p no:cacheprovider --all-of-the-matrix \
		tests/lab/test_debug.py $(if $(ARGS),-k "$(ARGS)")

miri: ## The kernel crates' tests in Miri, which sees undefined behaviour
	@scripts/trust miri

loom: ## Models of vCPUs and readers, a minute each, in the orders that their steps may have
	@scripts/trust loom

fuzz: ## Everything that reads input, for MINUTES= each of 12 targets (default: 1)
	@scripts/trust fuzz $(if $(MINUTES),--minutes "$(MINUTES)")

mutants: ## Changes of the kernel crates that no test notices (long; SHARD=K/N is a part)
	@scripts/trust mutants $(if $(SHARD),--shard "$(SHARD)")

mutants-since: ## The same of what changed since BASE= (default: main)
	@scripts/trust mutants --since "$(or $(BASE),main)"

bench: ## What accounting costs, against every alternative (under 20 minutes)
	@scripts/bench

bench-exit: ## What counting adds to a VM exit, in counts of the guest's TSC
	@scripts/bench --only cpuid

experiments: ## All experiments, each with a report in out/ (under 30 minutes)
	@scripts/experiment all

experiment-paging: ## Nested against shadow paging: the exits of a guest, side by side
	@scripts/experiment paging

experiment-boot: ## The exits of a guest's boot over time, and what a reboot adds
	@scripts/experiment boot

experiment-cpus: ## What each CPU model of the emulator can do, by generation
	@scripts/experiment cpus

experiment-layouts: ## The course's readers against each layout of the leaves
	@scripts/experiment layouts

experiment-baselines: ## What is normal for a guest: vmxscope exits --baseline idle
	@scripts/experiment baselines

experiment-causes: ## The exits of a guest before the program's advice, and after it
	@scripts/experiment causes

lab: ## An interactive shell in the lab's machine
	@scripts/lab --shell

kernels: ## Build the lab's kernels beforehand
	@scripts/build-kernels

module: ## Build vmx_caps.ko and vmx_exits.ko for KDIR= (default: the running kernel)
	@scripts/inside scripts/build-module "$(KDIR)"

module-clean: ## Remove what `make module` built
	@scripts/inside $(MAKE) -s -C "$(KDIR)" M="$(CURDIR)" clean
	@rm -rf target/prebuilt
	@rmdir target 2>/dev/null || true

patch: ## Apply our KVM series to KERNEL_TREE=
	@scripts/patch-kernel apply "$(KERNEL_TREE)"

unpatch: ## Take our KVM series out of KERNEL_TREE= again
	@scripts/patch-kernel reverse "$(KERNEL_TREE)"

export-series: ## Write the series as mails into OUT= (default: out/series)
	@scripts/export-series $(or $(OUT),out/series)

kvm: ## Build KVM's modules with our series for KDIR=, headers or a tree (OUT=, SOURCE=)
	@scripts/build-kvm $(if $(OUT),--out "$(OUT)") $(if $(SOURCE),--source "$(SOURCE)") "$(KDIR)" $(ARGS)

install: ## Install the program, its man pages and completions (PREFIX=, DESTDIR=)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install

deb: ## A Debian package of the program, in out/
	@scripts/build-deb cli

dkms-deb: ## A Debian package of both modules, built on each machine by DKMS
	@scripts/build-deb dkms

lint: ## rustfmt, clippy, shellcheck, ruff, mypy
	@scripts/lint

cache-size: ## What the cache folder holds, and how large it is
	@scripts/cache size

clean-cache: ## Remove the cache folder's content
	@scripts/cache clean
