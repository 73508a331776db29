# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on a model with SVM: small guests by kvm-amd, and what the host
# has to show of each.
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
vmxscope="/lab/vmxscope exits --host"
dmesg -c >/dev/null
load-kvm || exit
lsmod >/out/modules
for mode in work cpuid cpuid-amd cpuid-intel; do
	mkdir /out/$mode
	echo 'hist:keys=exit_reason' >$trigger || exit
	# The files that KVM has: an unpatched one has no more than "exits".
	/lab/l3 $mode 100 "cp /sys/kernel/debug/kvm/\$VM/exit* /out/$mode &&
		if [ -e /out/$mode/exit_stats_raw ]; then
			$vmxscope >/out/$mode/table && $vmxscope --json >/out/$mode/json
		fi" >/out/$mode/said || exit
	cat ${trigger%trigger}hist >/out/$mode/hist
	echo '!hist:keys=exit_reason' >$trigger
done
rmmod kvm_amd && rmmod kvm || exit
dmesg >/out/dmesg
exit 0
