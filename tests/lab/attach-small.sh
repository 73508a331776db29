# SPDX-License-Identifier: GPL-2.0
# Runs in L1: small guests that do the same each time, and what the patched KVM, or
# vmx_exits beside the kernel's own, counted of them.
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
dmesg -c >/dev/null
load-kvm || exit
stats=/sys/kernel/debug/kvm
if [ ! -e $stats/exit_stats_raw ]; then
	/usr/sbin/insmod /lab/modules/vmx_exits.ko || exit
	stats=/sys/kernel/debug/vmx_exits
fi
for mode in work cpuid cpuid-emulated cpuid-faulting; do
	mkdir /out/$mode
	echo 'hist:keys=exit_reason' >$trigger || exit
	/lab/l3 $mode 100 "cp $stats/\$VM/exit_stats_* /out/$mode
		cp /sys/kernel/debug/kvm/\$VM/exits /out/$mode" >/out/$mode/said || exit
	cat ${trigger%trigger}hist >/out/$mode/hist
	echo '!hist:keys=exit_reason' >$trigger
done
ls $stats >/out/left
[ ! -e /sys/module/vmx_exits ] || rmmod vmx_exits || exit
dmesg >/out/dmesg
exit 0
