# SPDX-License-Identifier: GPL-2.0
# `make` alone prints the targets. Kbuild reads Kbuild, not this file.
SHELL := /bin/bash
PY := /usr/bin/python3
KDIR ?= /lib/modules/$(shell uname -r)/build
CACHE := cd scripts && $(PY) -c 'from vmxlab import cache; cache.

EXPERIMENTS := paging boot cpus layouts

.PHONY: help setup demo test test-all bench bench-exit lab module module-clean lint docs patch unpatch \
	export-series kvm install deb dkms-deb kernels cache-size clean-cache experiments \
	$(EXPERIMENTS:%=experiment-%)

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' Makefile

setup: ## Install what builds, lab and tests need (packages, Rust parts, bindgen)
	@scripts/setup

demo: setup ## Show it: every VMX capability of a Haswell, logged in an emulated one
	@scripts/demo

test: setup ## All tests that CI runs, the lab's included
	@scripts/run-tests

test-all: setup ## Those, and the whole matrix in the lab
	@scripts/run-tests --all

bench: setup ## What accounting costs, against every alternative (under 20 minutes)
	@scripts/setup --bench
	@scripts/bench

bench-exit: setup ## What counting adds to a VM exit, in counts of the guest's TSC
	@scripts/bench --only cpuid

experiments: setup ## All experiments, each with a report in out/ (under 30 minutes)
	@scripts/experiment all

experiment-paging: setup ## Nested against shadow paging: the exits of a guest, side by side
	@scripts/experiment paging

experiment-boot: setup ## The exits of a guest's boot over time, and what a reboot adds
	@scripts/experiment boot

experiment-cpus: setup ## What each CPU model of the emulator can do, by generation
	@scripts/experiment cpus

experiment-layouts: setup ## The course's readers against each layout of the leaves
	@scripts/experiment layouts

lab: setup ## An interactive shell in the lab's machine
	@scripts/lab --shell

kernels: setup ## Build the lab's kernels beforehand
	@$(PY) scripts/build-kernels

module: ## Build vmx_caps.ko for KDIR= (default: the running kernel)
	@scripts/build-module $(KDIR)

module-clean: ## Remove what `make module` built
	@$(MAKE) -s -C $(KDIR) M=$(CURDIR) clean

patch: ## Apply our KVM series to KERNEL_TREE=
	@scripts/patch-kernel apply "$(KERNEL_TREE)"

unpatch: ## Take our KVM series out of KERNEL_TREE= again
	@scripts/patch-kernel reverse "$(KERNEL_TREE)"

export-series: ## Write the series as mails into OUT= (default: out/series)
	@scripts/export-series $(or $(OUT),out/series)

kvm: ## Rebuild only KVM's modules in KDIR=, the patched tree of a kernel
	@scripts/build-kvm "$(KDIR)"

install: ## Install the program, its man pages and completions (PREFIX=, DESTDIR=)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" scripts/install

deb: ## A Debian package of the program, in out/
	@scripts/build-deb cli

dkms-deb: ## A Debian package of the module, built on each machine by DKMS
	@scripts/build-deb dkms

docs: ## Print the tables of capabilities as Markdown into target/
	@mkdir -p target && cargo run -q --example capabilities-md > target/capabilities.md
	@echo target/capabilities.md

lint: ## rustfmt, clippy, shellcheck, ruff, mypy
	@scripts/lint

cache-size: ## What the cache folder holds, and how large it is
	@$(CACHE)report()'

clean-cache: ## Remove the cache folder's content
	@$(CACHE)clean()'
