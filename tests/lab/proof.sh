# SPDX-License-Identifier: GPL-2.0
# Runs in L1. Boots the nested guest, counts every kvm_exit event in the kernel
# itself (a histogram trigger: nothing can be lost in a buffer), stops the VM
# after its workload and collects what each view says of it; then lets it go
# on and traces each exit until the guest has read its own counters.
tracing=/sys/kernel/tracing
# What the kernel had to say of Bochs while it booted is not KVM's.
dmesg -c >/dev/null
load-kvm || exit
echo 'hist:keys=exit_reason' >$tracing/events/kvm/kvm_exit/trigger || exit
echo 20000 >$tracing/buffer_size_kb
mkfifo /run/mon.in /run/mon.out
cat /run/mon.out >/run/mon.log &
guest "$@" -- -chardev pipe,id=mon,path=/run/mon -mon chardev=mon,mode=readline &
guest=$!
exec 9>/run/mon.in
monitor() { # COMMAND: its output, once the prompt is back
	: >/run/mon.log.seen
	before=$(grep -c '^(qemu)' /run/mon.log)
	echo "$1" >&9
	while [ "$(grep -c '^(qemu)' /run/mon.log)" -le "$before" ]; do sleep 0.2; done
}
until grep -q '^ready' /run/guest/l2.status 2>/dev/null; do
	kill -0 $guest 2>/dev/null || { echo "the guest ended early"; exit 1; }
	sleep 0.5
done
monitor stop
vm=$(echo /sys/kernel/debug/kvm/*-*)
cat "$vm/exit_stats_raw" >/out/vm
cat /sys/kernel/debug/kvm/exit_stats_raw >/out/host
cat "$vm/exits" >/out/exits
cat "$vm/exit_stats_vcpus" >/out/vcpus
cat $tracing/events/kvm/kvm_exit/hist >/out/hist
cp /run/mon.log /run/mon.before
monitor 'info stats vcpu'
tail -n "+$(wc -l </run/mon.before)" /run/mon.log >/out/stats
echo 1 >$tracing/options/fields 2>/dev/null || echo 1 >$tracing/options/raw
: >$tracing/trace
echo 1 >$tracing/events/kvm/kvm_exit/enable
echo 1 >$tracing/events/kvm/kvm_cpuid/enable
monitor cont
wait $guest
status=$?
echo 0 >$tracing/tracing_on
cat $tracing/trace >/out/trace
cat $tracing/per_cpu/cpu*/stats >/out/trace-stats
cp /run/guest/l2.status /out/guest
dmesg >/out/dmesg
exit $status
