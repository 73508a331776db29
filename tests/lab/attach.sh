# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on a kernel and a KVM that nobody changed: vmx_exits comes and goes
# while two virtual machines run. What it counts is compared with
# what the kernel itself counts of KVM's trace event, over stretches at whose ends
# the first of them stands still. Rounds of insmod and rmmod: /lab/rounds.
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
dmesg -c >/dev/null
load-kvm || exit
mkfifo /run/mon.in /run/mon.out
cat /run/mon.out >/run/mon.log &
guest --name a -- -chardev pipe,id=mon,path=/run/mon -mon chardev=mon,mode=readline &
a=$!
b=$a
exec 9>/run/mon.in
monitor() { # COMMAND: until the prompt is back
	before=$(grep -c '^(qemu)' /run/mon.log)
	echo "$1" >&9
	while [ "$(grep -c '^(qemu)' /run/mon.log)" -le "$before" ]; do sleep 0.2; done
}
load() { /usr/sbin/insmod /lab/modules/vmx_exits.ko || exit; }
says() { # WHICH TEXT COUNT: until the guest has said so that often since now
	seen=$(grep -c "$2" "/run/guest/$1.status")
	until [ "$(grep -c "$2" "/run/guest/$1.status")" -ge $((seen + $3)) ]; do
		kill -0 $a 2>/dev/null || kill -0 $b || { echo "the guest is gone"; dmesg | tail -n 40; exit 1; }
		sleep 0.3
	done
}
stretch() { # NAME: of the only VM, while it runs and stands still at both ends
	monitor cont
	says a . 6
	monitor stop
	cat /sys/kernel/debug/vmx_exits/*-*/exit_stats_raw >/out/"$1".vm
	cat /sys/kernel/debug/vmx_exits/*-*/exit_stats_vcpus >/out/"$1".vcpus
	cat /sys/kernel/debug/vmx_exits/exit_stats_raw >/out/"$1".host
	cat ${trigger%trigger}hist >/out/"$1".hist
}
until grep -q . /run/guest/a.status 2>/dev/null; do
	kill -0 $a || exit
	sleep 0.5
done
says a own 2
# It comes while the VM runs.
load
says a served 4
monitor stop
ls /sys/kernel/debug/vmx_exits >/out/vms
echo 0 >/sys/kernel/debug/vmx_exits/exit_stats_raw
echo 'hist:keys=exit_reason' >$trigger || exit
stretch reset
# It goes and comes while the VM stands still: all exits from then on.
rmmod vmx_exits || exit
echo 'hist:keys=exit_reason:clear' >>$trigger
load
stretch fresh
monitor cont
# Rounds, beside a second VM.
guest --name b &
b=$!
says a . 6
dmesg >/out/dmesg.before
uptime=$(cut -d ' ' -f 1 /proc/uptime)
round=0
while [ $round -lt "$(cat /lab/rounds)" ]; do
	rmmod vmx_exits || exit
	load
	round=$((round + 1))
done
echo "$round from $uptime to $(cut -d ' ' -f 1 /proc/uptime)" >/out/rounds
says a served 2
says b served 2
rmmod vmx_exits || exit
says a own 2
says b own 2
# A VM that ends takes its figures with it.
load
says b served 2
ls /sys/kernel/debug/vmx_exits >/out/vms-two
monitor quit
wait $a
ls /sys/kernel/debug/vmx_exits >/out/vms-one
says b served 2 || exit
rmmod vmx_exits || exit
kill -0 $b || exit
cp /run/guest/a.status /out/guest
dmesg >/out/dmesg
exit 0
