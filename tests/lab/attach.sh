# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on a kernel and a KVM that nobody changed: vmx_exits comes and goes while
# two virtual machines with two vCPUs each run. What it counts is compared with what the
# kernel itself counts of KVM's trace event, over stretches at whose ends no vCPU runs.
# Rounds of insmod and rmmod: /lab/rounds.
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
stats=/sys/kernel/debug/vmx_exits
dmesg -c >/dev/null
load-kvm || exit
load() { /usr/sbin/insmod /lab/modules/vmx_exits.ko || exit; }
says() { # WHICH TEXT COUNT: until the guest has said so that often since now
	seen=$(grep -c "$2" "/run/guest/$1.status")
	until [ "$(grep -c "$2" "/run/guest/$1.status")" -ge $((seen + $3)) ]; do
		kill -0 "$(cat "/run/$1.pid")" 2>/dev/null || {
			echo "guest $1 is gone"
			cat "/run/guest/$1.serial"
			dmesg | tail -n 40
			exit 1
		}
		sleep 0.3
	done
}
# Guests that are always busy leave the one CPU to what has to be done beside them.
boot() { # WHICH: until it says something for the first time
	guest --name "$1" --append "nowatchdog rcupdate.rcu_cpu_stall_suppress=1" -- \
		-pidfile "/run/$1.pid" &
	renice -n 19 -p $! || exit
	until grep -q . "/run/guest/$1.status" 2>/dev/null; do
		kill -0 $! || exit
		sleep 0.5
	done
}
clear="echo hist:keys=exit_reason:clear >>$trigger"
begin() { stopped sh -c "echo 0 >$stats/exit_stats_raw && $clear" || exit; }
end() { # NAME: what both have counted since then
	mkdir "/out/$1"
	stopped sh -c "cp -r $stats/* /out/$1 && cat ${trigger%trigger}hist >/out/$1/hist" || exit
}
boot a
a=$!
# The second boots alone: there is one CPU.
kill -STOP "$(cat /run/a.pid)"
boot b
kill -CONT "$(cat /run/a.pid)"
says a own 2
# It comes while they run.
load
says a served 2
says b served 2
echo hist:keys=exit_reason >$trigger || exit
begin
says a . 2
end reset
# It goes and comes while they stand still: all exits from then on.
stopped sh -c "rmmod vmx_exits && /usr/sbin/insmod /lab/modules/vmx_exits.ko && $clear" || exit
says a . 2
end fresh
# Rounds; over some of them all that exits meanwhile is counted.
rounds=$(cat /lab/rounds)
read -r began _ </proc/uptime
round=0
while [ $round -lt "$rounds" ]; do
	rmmod vmx_exits || exit
	load
	if [ $((round % (1 + rounds / 20))) = 0 ]; then
		begin
		sleep 0.3
		end round-$round
	fi
	round=$((round + 1))
	read -r now _ </proc/uptime
	echo "round $round at $now"
done
echo "$round from $began to $now" >/out/rounds
says a served 2
says b served 2
rmmod vmx_exits || exit
says a own 2
says b own 2
# A VM that ends takes its figures with it.
load
says a served 2
says b served 2
ls $stats >/out/vms-two
kill "$(cat /run/a.pid)"
wait $a
ls $stats >/out/vms-one
says b served 2
rmmod vmx_exits || exit
cp /run/guest/a.status /out/guest
dmesg >/out/dmesg
# From here on this kernel takes signed modules only, as with module.sig_enforce=1.
echo 1 >/sys/module/module/parameters/sig_enforce || exit
/usr/sbin/insmod /lab/modules/vmx_exits.ko 2>/out/unsigned && exit 1
exit 0
