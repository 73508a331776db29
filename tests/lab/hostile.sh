# SPDX-License-Identifier: GPL-2.0
# Runs in L1: a VM with two vCPUs that ask CPUID for anything, beside one with one, which has
# a third of the CPU then; and then a VMM that does anything. /lab/asks: how often each of the two vCPUs
# asks, for how many seconds that is repeated, and how many rounds the VMM makes.
trigger=/sys/kernel/tracing/events/kmem/kmalloc/trigger
load-kvm || exit
stats=/sys/kernel/debug/kvm
if [ ! -e $stats/exit_stats_raw ]; then
	/usr/sbin/insmod /lab/modules/vmx_exits.ko || exit
	stats=/sys/kernel/debug/vmx_exits
fi
step() { echo "$(cut -d' ' -f1 /proc/uptime) $1" >>/out/steps; }
step loaded
read -r asks seconds rounds </lab/asks
memory() { grep -E '^(MemFree|Slab|SUnreclaim|Percpu|KernelStack|PageTables):' /proc/meminfo >"/out/$1"; }
periods() { wc -l </run/neighbour; }
count_allocations() { echo 'hist:keys=call_site.sym:size=4096' >$trigger || exit; }
ask() { # NAME ASKS SECONDS: what KVM and vmx_exits allocate meanwhile is counted
	count_allocations
	read -r begun _ </proc/uptime
	now=$begun
	seed=1
	until [ $seed -gt 1 ] && [ $((${now%.*} - ${begun%.*})) -ge "$3" ]; do
		/lab/hostile ask 2 "$2" $seed "cat $stats/\$VM/exit_stats_raw >/out/$1.table" \
			>>"/out/$1" || exit
		seed=$((seed + 2))
		read -r now _ </proc/uptime
	done
	cat ${trigger%trigger}hist >"/out/$1.allocated"
	: >$trigger
}
mkfifo /run/end
/lab/hostile neighbour 100 </run/end >/run/neighbour &
exec 9>/run/end
until [ "$(periods)" -ge 2 ]; do sleep 0.1; done
ask few 1000 0
dmesg -c >/dev/null
# Beside two that ask for leaf 0 as it does.
mkfifo /run/end-others
for other in 1 2; do
	/lab/hostile neighbour 100 </run/end-others >/run/other.$other &
done
exec 8>/run/end-others
count_allocations
sleep 1
until_now() { sed 's/.*until //' /run/neighbour | tail -n 1; }
from=$(until_now)
sleep 4
echo "from $from until $(until_now)" >/out/quiet
: >$trigger
echo >&8
until [ "$(pidof hostile | wc -w)" = 1 ]; do sleep 0.1; done
step quiet
memory before
ask many "$asks" "$seconds"
memory after
step asked
echo >&9
wait
cp /run/neighbour /out
dmesg >/out/dmesg
/lab/wild 20 1 $stats >/out/wild || exit
step warm
memory before-wild
/lab/wild "$rounds" 2 $stats >/out/wild || exit
memory after-wild
step wild
ls $stats >/out/left
dmesg >/out/dmesg-wild
exit 0
