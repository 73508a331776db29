# SPDX-License-Identifier: GPL-2.0
# Runs in L1: one VM after the other, each of which does one thing (see l3.c),
# and of each of them what every view of its exits says.
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
vm() { # FOLDER MODE
	mkdir -p "/out/$1/$2"
	echo 'hist:keys=exit_reason' >$trigger || exit
	/lab/l3 "$2" 1000 "cd /sys/kernel/debug/kvm/\$VM &&
		cp exits exit_stats_raw exit_stats_vcpus /out/$1/$2 &&
		cp ../exit_stats_raw /out/$1/$2/host" \
		>"/out/$1/$2/runs" || exit
	cat ${trigger%trigger}hist >"/out/$1/$2/hist"
	echo '!hist:keys=exit_reason' >$trigger
}
dmesg -c >/dev/null
load-kvm || exit
for mode in work state control segment; do vm unrestricted $mode; done
cp /sys/kernel/debug/kvm/exit_stats_raw /out/ended
load-kvm -r unrestricted_guest=0 || exit
for mode in work segment; do vm restricted $mode; done
load-kvm -r unrestricted_guest=0 emulate_invalid_guest_state=0 || exit
vm unchecked segment
dmesg >/out/dmesg
exit 0
