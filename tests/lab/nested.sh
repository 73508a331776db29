# SPDX-License-Identifier: GPL-2.0
# Runs in L1: boots the nested guest, which runs a guest of its own, and stops
# it behind that to collect what each view says. KVM traces the exits of L3's
# guest mode a second time, as an event of its own: a second opinion on them.
events=/sys/kernel/tracing/events/kvm
dmesg -c >/dev/null
load-kvm || exit
for event in kvm_exit kvm_nested_vmexit; do
	echo 'hist:keys=exit_reason' >$events/$event/trigger || exit
done
guest &
guest=$!
until grep -q '^ready' /run/guest/l2.status 2>/dev/null; do
	kill -0 $guest 2>/dev/null || { echo "the guest ended early"; exit 1; }
	sleep 0.5
done
# A stopped thread runs no vCPU.
qemu=$(pidof qemu-system-x86_64)
kill -STOP "$qemu"
sleep 0.5
cp /sys/kernel/debug/kvm/*-*/exits /sys/kernel/debug/kvm/*-*/nested_run /out
cp /sys/kernel/debug/kvm/*-*/exit_stats_raw /out/vm
cp /sys/kernel/debug/kvm/exit_stats_raw /out/host
for event in kvm_exit kvm_nested_vmexit; do cat $events/$event/hist >/out/$event; done
kill -CONT "$qemu"
wait $guest
status=$?
cp /run/guest/l2.status /out/guest
dmesg >/out/dmesg
exit $status
