# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on two CPUs: two VMs at once; one that is reset; one whose vCPUs
# are moved from CPU to CPU; one during which the accounting is switched.
debugfs=/sys/kernel/debug/kvm
event=/sys/kernel/tracing/events/kvm/kvm_exit
dmesg -c >/dev/null
load-kvm || exit
begin() { echo 'hist:keys=exit_reason' >$event/trigger && cat $debugfs/exit_stats_raw >"/out/$1.before"; }
end() {
	cat $event/hist >"/out/$1.hist"
	echo '!hist:keys=exit_reason' >$event/trigger
	cat $debugfs/exit_stats_raw >"/out/$1.after"
}
begin two
guest --name a &
a=$!
guest --name b --cpus 2 || exit
wait $a || exit
end two
cp /run/guest/a.status /out/a
cp /run/guest/b.status /out/b

mkfifo /run/mon.in /run/mon.out
cat /run/mon.out >/dev/null &
begin reset
guest --name r --reboot -- -chardev pipe,id=mon,path=/run/mon -mon chardev=mon,mode=readline &
r=$!
exec 9>/run/mon.in
until_ready() { until [ "$(grep -c '^ready' /run/guest/r.status 2>/dev/null)" = "$1" ]; do sleep 0.5; done; }
until_ready 1
sleep 2
cat $debugfs/*-*/exit_stats_raw >/out/reset.first
echo system_reset >&9
until_ready 2
sleep 2
cat $debugfs/*-*/exit_stats_raw >/out/reset.second
echo quit >&9
wait $r
end reset
cp /run/guest/r.status /out/r

until_gone() { # PID COMMAND...: again and again, while that process runs
	process=$1
	shift
	while kill -0 "$process" 2>/dev/null; do "$@"; done
}
move() {
	for mask in 1 2; do
		for task in /proc/$(pidof qemu-system-x86_64)/task/*; do
			taskset -p $mask "${task##*/}" >/dev/null 2>&1
		done
		usleep 20000
		echo moved >>/out/moves
	done
}
begin moved
guest --name m --cpus 2 &
m=$!
until_gone $m move
end moved

toggle() {
	for value in 0 1; do
		echo $value >/sys/module/kvm/parameters/exit_stats
		usleep 30000
	done
	echo toggled >>/out/toggles
}
begin toggled
guest --name t --cpus 2 &
t=$!
until_gone $t toggle
end toggled
cp /run/guest/t.status /out/t
dmesg >/out/dmesg
exit 0
