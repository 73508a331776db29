# SPDX-License-Identifier: GPL-2.0
# Runs in L1: small VMMs that spend a known time in one place each, that turn the guest's
# leaves on and off, or have no memory left; and VMs that come and go while others look.
debugfs=/sys/kernel/debug/kvm
settings=/sys/module/kvm/parameters
tracing=/sys/kernel/tracing
dmesg -c >/dev/null
load-kvm || exit
# Each allocation and release in kvm.ko, of which the exit statistics' are picked later.
start=$(sed -n 's/^kvm .* \(0x[0-9a-f]*\).*/\1/p' /proc/modules)
size=$(sed -n 's/^kvm \([0-9]*\) .*/\1/p' /proc/modules)
within="call_site >= $start && call_site < $(printf '0x%x' $((start + size)))"
echo "$within && bytes_req >= 2048" >$tracing/events/kmem/kmalloc/filter || exit
echo "$within" >$tracing/events/kmem/kfree/filter || exit
echo 20000 >$tracing/buffer_size_kb
echo 1 >$tracing/events/kmem/kmalloc/enable
echo 1 >$tracing/events/kmem/kfree/enable

for mode in fault pio attribute signal; do
	mkdir /out/$mode
	/lab/stretches $mode 200 "cp $debugfs/\$VM/exit* /out/$mode" >/out/$mode/said || exit
done

for guest in off vmm vm; do
	echo $guest >$settings/exit_stats_guest
	/lab/limits capability >/out/capability.$guest || exit
done
echo 0 >$settings/exit_stats
/lab/limits capability >/out/capability.key-off || exit
echo 1 >$settings/exit_stats

mount -t cgroup2 none /sys/fs/cgroup && echo +memory >/sys/fs/cgroup/cgroup.subtree_control &&
	mkdir /sys/fs/cgroup/vmm || exit
/lab/limits memory /sys/fs/cgroup/vmm >/out/memory
echo "status $?" >>/out/memory
cat /sys/fs/cgroup/vmm/memory.events >>/out/memory

for reader in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	while [ ! -e /run/enough ]; do
		cat $debugfs/exit_stats_raw >/run/table.$reader && echo >>/run/reads.$reader
		cat $debugfs/*-*/exit_stats_* >/dev/null 2>&1
	done &
done
vm=0
# Until each reader has read ten times.
until [ $vm -ge 4 ] && [ "$(cat /run/reads.* | wc -l)" -ge 160 ] &&
	! wc -l /run/reads.* | grep -q '^ *[0-9] '; do
	/lab/l3 work 20 "echo 0 >$debugfs/\$VM/exit_stats_raw; echo 0 >$debugfs/exit_stats_raw" \
		>/dev/null || exit
	vm=$((vm + 1))
done
touch /run/enough
wait
echo $vm >/out/vms
wc -l /run/reads.* >/out/reads
cat /run/table.1 >/out/table
ls $debugfs >/out/left

load-kvm -r || exit
echo 0 >$tracing/tracing_on
sed -n 's/.*: \(kmalloc\): \(.*exit_stats\)/\1 \2/p; s/.*: \(kfree\): /\1 /p' $tracing/trace \
	>/out/memory-trace
cat $tracing/per_cpu/cpu*/stats >/out/trace-stats
dmesg >/out/dmesg
exit 0
