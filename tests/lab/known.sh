# SPDX-License-Identifier: GPL-2.0
# Runs in L1: a guest whose exits are known, and which causes the patched KVM, or vmx_exits
# beside the kernel's own, kept of them. What KVM's trace events say is counted by triggers.
events=/sys/kernel/tracing/events/kvm
begin() {
	echo 'hist:keys=exit_reason,guest_rip:size=4096' >$events/kvm_exit/trigger &&
		echo 'hist:keys=ecx,write' >$events/kvm_msr/trigger &&
		echo 'hist:keys=port,rw,size' >$events/kvm_pio/trigger &&
		echo 'hist:keys=function,index' >$events/kvm_cpuid/trigger || exit
}
end() { # FOLDER; to open a trigger's file anew removes it
	for event in kvm_exit kvm_msr kvm_pio kvm_cpuid; do
		cp $events/$event/hist "/out/$1/$event" && : >$events/$event/trigger || exit
	done
}
dmesg -c >/dev/null
load-kvm || exit
stats=/sys/kernel/debug/kvm
ours=/sys/module/kvm/parameters/exit_stats_causes
if [ ! -e $stats/exit_stats_raw ]; then
	/usr/sbin/insmod /lab/modules/vmx_exits.ko || exit
	stats=/sys/kernel/debug/vmx_exits
	ours=/sys/module/vmx_exits/parameters/causes
fi
cat $ours >/out/default
run() { # NAME HOW
	mkdir "/out/$1"
	begin
	/lab/known 100 "$2" "cp $stats/\$VM/exit_stats_* /out/$1" >/out/$1/said || exit
	end "$1"
}
run off --not
[ $stats != /sys/kernel/debug/kvm ] || run enabled --enable
echo 1 >$ours || exit
run asked --ask
run on --not
[ ! -e /sys/module/vmx_exits ] || rmmod vmx_exits || exit
dmesg >/out/dmesg
exit 0
