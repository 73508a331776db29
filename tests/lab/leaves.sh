# SPDX-License-Identifier: GPL-2.0
# Runs in L1: one guest after the other, each under other settings of KVM, and
# what the host's table and the kernel's own trigger have counted meanwhile.
debugfs=/sys/kernel/debug/kvm
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
settings=/sys/module/kvm/parameters
dmesg -c >/dev/null
one() { # NAME GUEST-ARGS...
	name=$1
	shift
	cat $debugfs/exit_stats_raw >"/out/$name.before" 2>/dev/null
	echo 'hist:keys=exit_reason' >$trigger
	guest --name "$name" "$@" || exit
	cat ${trigger%trigger}hist >"/out/$name.hist"
	echo '!hist:keys=exit_reason' >$trigger
	cat $debugfs/exit_stats_raw >"/out/$name.after" 2>/dev/null
	cp "/run/guest/$name.status" "/out/$name"
}
load-kvm || exit
if [ ! -e $settings/exit_stats ]; then
	one stock
	exit 0
fi
one spring22 --cpus 2
echo off >$settings/exit_stats_guest
one off
echo vm >$settings/exit_stats_guest
echo 0 >$settings/exit_stats
one key-off
echo 1 >$settings/exit_stats
echo combined >$settings/exit_stats_layout
echo host >$settings/exit_stats_guest
one combined
for value in exit_stats=2 exit_stats_guest=neighbours exit_stats_layout=fall23 exit_stats_hist=x; do
	echo "${value#*=}" >"$settings/${value%%=*}" 2>/dev/null && echo "$value was taken"
done >/out/refused
echo >$debugfs/exit_stats
cat $debugfs/exit_stats_raw >/out/reset
rmmod kvm_intel
rmmod kvm
for value in exit_stats=2 exit_stats_guest=neighbours exit_stats_layout=fall23 exit_stats_hist=x; do
	/usr/sbin/insmod /lab/modules/kvm.ko $value 2>/dev/null && echo "$value was taken"
done >>/out/refused
dmesg -c | grep -v "invalid for parameter" >/out/dmesg-1
echo "exit_stats_layout=fall22 exit_stats_hist=0" >/lab/kvm-params
load-kvm || exit
cat $debugfs/exit_stats_raw >/out/reloaded
one fall22 --cpu host,vendor=AuthenticAMD
dmesg >/out/dmesg-2
exit 0
