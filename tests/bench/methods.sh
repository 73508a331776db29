#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Runs in L1. For each method of /lab/methods: what an exit of each kind costs, what
# a boot takes, and how many of the exits that were taken the method counted.
# Leaves /out/figures: "METHOD kind ...", "METHOD exits|boot taken N counted M" and
# "METHOD boot tsc N".
events=/sys/kernel/tracing/events/kvm
tracing=/sys/kernel/tracing
debug=/sys/kernel/debug/kvm
figures=/out/figures
rounds=$(cat /lab/rounds)

set_param() { echo "$2" >"/sys/module/kvm/parameters/exit_stats$1"; }
# The events that have what the causes have, and by which of their fields.
by_keys='kvm_exit exit_reason,guest_rip
kvm_msr ecx,write
kvm_pio port,rw,size
kvm_mmio gpa,type
kvm_page_fault fault_address,error_code
kvm_cpuid function,index'
triggers() { # +|!: set them, or remove them
	echo "$by_keys" | while read -r event keys; do
		echo "${1#+}hist:keys=$keys:size=4096" >>"$events/$event/trigger" || exit
	done
}
trace() { # 0|1
	echo "$1" >$events/kvm_exit/enable
	echo "$1" >$events/kvm_entry/enable
}
# The exits that hardware took: in stat.exits are, with our patches, also entries
# that failed or were emulated, and there are none of these here.
taken() { cat $debug/*-*/exits; }

# begin METHOD and end METHOD: before and after exits are to be counted.
# counted METHOD: what it says, while the VM is still there; late METHOD: after that.
begin() {
	prefix=
	case $1 in
	tracepoints) : >$tracing/trace; trace 1 ;;
	perf)
		# Records while the command runs, and not before it is ready.
		prefix="perf kvm stat record -a -o /run/perf.data"
		;;
	hist) triggers + || exit ;;
	bpf | bpf-keys)
		/lab/bpfcount "${1#bpf-}" >/run/bpf.log 2>&1 &
		recorder=$!
		until grep -q attached /run/bpf.log; do
			kill -0 "$recorder" || { cat /run/bpf.log; exit 1; }
			sleep 0.2
		done
		;;
	course) cat /sys/module/kvm_intel/parameters/course >/run/course ;;
	beside) /usr/sbin/insmod /lab/modules/vmx_exits.ko || exit ;;
	off) set_param '' 0 ;;
	on) set_param _hist 0; set_param '' 1 ;;
	histograms) set_param _hist 1; set_param '' 1 ;;
	causes) set_param _causes 1; set_param _hist 1; set_param '' 1 ;;
	esac
}
counted() {
	case $1 in
	on | histograms | causes) awk '$1 == 65535 { print $3 }' $debug/*-*/exit_stats_raw ;;
	beside) awk '$1 == 65535 { print $3 }' /sys/kernel/debug/vmx_exits/*-*/exit_stats_raw ;;
	course)
		cat /run/course /sys/module/kvm_intel/parameters/course |
			awk '{ n = $2 - n } END { print n }'
		;;
	esac
}
late() {
	case $1 in
	tracepoints)
		trace 0
		grep -c ' kvm_exit: ' $tracing/trace
		;;
	beside) rmmod vmx_exits ;;
	perf)
		perf kvm -i /run/perf.data stat report >/out/perf.report 2>&1
		sed -n 's/^ *Total Samples: *\([0-9]*\),.*/\1/p' /out/perf.report
		;;
	hist)
		awk '/Hits:/ { print $2 }' $events/kvm_exit/hist
		triggers !
		;;
	bpf | bpf-keys)
		kill "$recorder"
		wait "$recorder"
		awk '/^counted/ { print $2 }' /run/bpf.log
		;;
	esac
}
result() { # METHOD WHAT: from /run/taken, /run/counted
	late "$1" >/run/late
	echo "$1 $2 taken $(cat /run/taken) counted $(cat /run/counted /run/late)" >>$figures
}

kinds() { # METHOD
	begin "$1"
	# shellcheck disable=SC2086  # A command's words, or none.
	method=$1 $prefix /lab/exitkinds "$rounds" '. /run/functions' >/run/kinds || exit
	sed "s/^/$1 /" /run/kinds >>$figures
	result "$1" exits
}
# What exitkinds runs while its VM is there, in a shell of its own.
sed -n '/^counted() {/,/^}/p; /^[a-z]*=\//p; /^taken() {/p' "$0" >/run/functions
# shellcheck disable=SC2016
echo 'taken >/run/taken; counted "$method" >/run/counted' >>/run/functions

# What boots is in a file of its own: without it, the lab's machine needs no QEMU.
# shellcheck source=tests/bench/boot.sh
[ -e /lab/boot.sh ] && . /lab/boot.sh

load-kvm || exit
methods=$(cat /lab/methods)
for method in $methods; do
	if [ "$method" = course ]; then
		rmmod kvm_intel kvm && insmod /lab/course/kvm.ko && insmod /lab/course/kvm-intel.ko || exit
	fi
	echo 0 >/sys/module/kvm/parameters/halt_poll_ns
	kinds "$method"
	for _ in $(seq "$(cat /lab/boots)"); do boot "$method"; done
done
