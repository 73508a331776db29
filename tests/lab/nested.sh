# SPDX-License-Identifier: GPL-2.0
# Runs in L1: boots the nested guest, which runs a guest of its own, and collects
# in the end what each view says. KVM traces the exits of L3's guest mode a second
# time, as an event of its own: a second opinion on them.
events=/sys/kernel/tracing/events/kvm
kvm=/sys/kernel/debug/kvm
stats=$kvm
dmesg -c >/dev/null
load-kvm || exit
if [ ! -e $stats/exit_stats_raw ]; then
	/usr/sbin/insmod /lab/modules/vmx_exits.ko || exit
	stats=/sys/kernel/debug/vmx_exits
fi
for event in kvm_exit kvm_nested_vmexit; do
	echo 'hist:keys=exit_reason' >$events/$event/trigger || exit
done
guest --last "
	cp $kvm/*-*/exits $kvm/*-*/nested_run $stats/*-*/exit_stats_vcpus /out
	cp $stats/*-*/exit_stats_raw /out/vm
	cp $stats/exit_stats_raw /out/host
	for event in kvm_exit kvm_nested_vmexit; do cat $events/\$event/hist >/out/\$event; done"
status=$?
cp /run/guest/l2.status /out/guest
dmesg >/out/dmesg
exit $status
