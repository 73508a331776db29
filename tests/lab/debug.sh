# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on a kernel that looks for faults: all that the patched KVM, or vmx_exits
# beside the kernel's own, can be made to do at once. Rounds: /lab/rounds. Then each
# allocation fails once, memory runs out, all is unloaded, and what the kernel has said
# of that is in /out. At last one fault of each kind is planted for the kernel to find.
debugfs=/sys/kernel/debug
step() { # NAME: for who waits
	read -r now _ </proc/uptime
	echo "$now $1" | tee -a /out/steps
}
step booted
dmesg >/out/boot
dmesg -c >/dev/null
load-kvm || exit
stats=$debugfs/kvm settings=/sys/module/kvm/parameters prefix=exit_stats_ beside=''
load() { /usr/sbin/insmod /lab/modules/vmx_exits.ko "$@" || exit; }
unload() { # It is in use as long as a file of its is open.
	until rmmod vmx_exits 2>/run/rmmod; do
		grep -q 'in use\|temporarily unavailable' /run/rmmod || {
			cat /run/rmmod
			exit 1
		}
		usleep 10000
	done
}
if [ ! -e $stats/exit_stats_raw ]; then
	load
	stats=$debugfs/vmx_exits settings=/sys/module/vmx_exits/parameters prefix='' beside=y
fi
switch() { # PARAMETER VALUE
	[ ! -e "$settings/$1" ] || echo "$2" >"$settings/$1"
}

step work
for file in reads.1 reads.2 vms.1 vms.2 wild l3; do : >/run/$file; done
# What goes on beside the rounds leaves them a CPU.
behind() { renice -n 15 -p $! >/dev/null || exit; }
for reader in 1 2; do
	while [ ! -e /run/enough ]; do
		cat $stats/exit_stats_raw $stats/*-*/* >/dev/null 2>&1
		echo >>/run/reads.$reader
		usleep 20000
	done &
	behind
done
seed=1
for vm in 1 2; do
	while [ ! -e /run/enough ]; do
		/lab/hostile ask 2 1000 $vm$seed "echo 0 >$stats/\$VM/exit_stats_raw" \
			>/dev/null 2>&1
		echo >>/run/vms.$vm
		seed=$((seed + 1))
	done &
	behind
done
while [ ! -e /run/enough ]; do
	seed=$((seed + 1))
	/lab/wild 5 $seed $stats >>/run/wild || exit
done &
behind
while [ ! -e /run/enough ]; do
	/lab/l3 work 100 "cat $stats/\$VM/* 2>/dev/null; true" >>/run/l3 || exit
done &
behind
round=0
while [ $round -lt "$(cat /lab/rounds)" ]; do
	value=$((round % 2))
	for name in hist entry causes; do switch $prefix$name $value; done
	[ -n "$beside" ] || switch exit_stats $((1 - value))
	set -- off vmm vm
	shift $((round % 3))
	switch ${prefix}guest "$1"
	set -- spring22 fall22 combined
	shift $((round % 3))
	switch ${prefix}layout "$1"
	if [ -n "$beside" ]; then
		# Gone before it knows all vCPUs, and back with others in KVM_RUN.
		unload
		load
		unload
		sleep 0.1
		load causes=$value
	fi
	sleep 0.5
	round=$((round + 1))
	step "round $round"
done
for name in hist entry causes; do switch $prefix$name 1; done
[ -n "$beside" ] || switch exit_stats 1
switch ${prefix}guest vm
# Until each has done something with all of it on.
for file in reads.1 reads.2 vms.1 vms.2 wild l3; do stat -c "%s $file" /run/$file; done >/run/sizes
tries=0
while read -r size file; do
	until [ "$(stat -c %s "/run/$file")" -gt "$size" ]; do
		sleep 0.5
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || {
			echo "$file stands still"
			ps
			dmesg
			exit 1
		}
	done
done </run/sizes
touch /run/enough
wait
for file in reads.1 reads.2 vms.1 vms.2; do
	echo "$file $(wc -l </run/$file)"
done >/out/done
grep -h ^did /run/wild >/out/wild
dmesg >/out/dmesg.work

if [ -d $debugfs/failslab ]; then
	step failing
	for attribute in failslab fail_page_alloc; do
		echo N >$debugfs/$attribute/ignore-gfp-wait
		echo 0 >$debugfs/$attribute/verbose
	done
	echo N >$debugfs/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$debugfs/fail_page_alloc/min-order
	/lab/failing $stats >/out/failing || exit
	step memory
	mount -t cgroup2 none /sys/fs/cgroup && echo +memory >/sys/fs/cgroup/cgroup.subtree_control &&
		mkdir /sys/fs/cgroup/vmm || exit
	/lab/limits memory /sys/fs/cgroup/vmm >/out/memory
	echo "status $?" >>/out/memory
fi
ls $stats >/out/left
[ -z "$beside" ] || unload
rmmod kvm_intel || exit
rmmod kvm || exit
cat /proc/lockdep_stats >/out/lockdep 2>/dev/null
dmesg >/out/dmesg

plant() {
	step "$1"
	dmesg -c >/dev/null
	/usr/sbin/insmod /lab/planted.ko fault="$1" 2>"/out/planted.$1.error"
	dmesg >"/out/planted.$1"
}
if [ -e $debugfs/kmemleak ]; then
	plant leak
	# What is younger than five seconds is not reported, nor what has changed since the
	# scan before. A scan takes a minute or more.
	sleep 6
	echo scan >$debugfs/kmemleak
	step scanned
	echo scan >$debugfs/kmemleak
	cat $debugfs/kmemleak >/out/kmemleak
fi
# After a fault of locking the kernel does not look at locks any more: that comes last.
for fault in free bounds shift sleep rcu race locks; do plant $fault; done
exit 0
