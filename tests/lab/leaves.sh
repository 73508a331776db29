# SPDX-License-Identifier: GPL-2.0
# Runs in L1: one guest after the other, each under other settings of KVM, and
# what the VM's table and the kernel's own trigger have counted in the end.
debugfs=/sys/kernel/debug/kvm
trigger=/sys/kernel/tracing/events/kvm/kvm_exit/trigger
settings=/sys/module/kvm/parameters
bad_values="exit_stats=2 exit_stats_entry=x exit_stats_guest=host exit_stats_guest=neighbours
	exit_stats_layout=fall23 exit_stats_hist=x"
dmesg -c >/dev/null
one() { # NAME GUEST-ARGS...
	name=$1
	shift
	echo 'hist:keys=exit_reason' >$trigger
	guest --name "$name" --last "
		cat ${trigger%trigger}hist >/out/$name.hist
		mkdir /out/$name.vm /out/$name.host
		cp $debugfs/*-*/exit* /out/$name.vm
		cp $debugfs/exit* /out/$name.host
		$last" "$@" || exit
	echo '!hist:keys=exit_reason' >$trigger
	cp "/run/guest/$name.status" "/out/$name"
}
set_to() { echo "$2" >"$settings/$1" || exit; } # PARAMETER VALUE
last=
load-kvm || exit
if [ ! -e $settings/exit_stats ]; then
	one stock
	exit 0
fi
# What is set while the guest runs is for VMs that are made from then on.
(
	until [ -e /run/guest/spring22.status ] && ls $debugfs/*-*/vcpu0 >/dev/null 2>&1; do
		usleep 100000
	done
	set_to exit_stats_guest off
	set_to exit_stats_layout fall22
	set_to exit_stats_hist 0
) &
one spring22 --cpus 2
wait
set_to exit_stats_layout spring22
set_to exit_stats_hist 1
one off
# QEMU does not enable the capability.
set_to exit_stats_guest vmm
one vmm
set_to exit_stats_guest vm
set_to exit_stats 0
one key-off
set_to exit_stats 1
set_to exit_stats_layout combined
set_to exit_stats_entry 1
last="for text in 1 -1 x ''; do
		for file in $debugfs/exit_stats_raw $debugfs/*-*/exit_stats_raw; do
			echo \"\$text\" 2>/dev/null >\$file && echo \"\$text was taken\"
		done
	done >/out/refused
	for file in $debugfs/*-*/exit_stats_raw; do
		echo 0 >\$file && cp \$file /out/reset.vm
	done
	cp $debugfs/exit_stats_raw /out/reset.host"
one combined
cat $debugfs/exit_stats_raw >/out/ended
for value in $bad_values; do
	echo "${value#*=}" 2>/dev/null >"$settings/${value%%=*}" && echo "$value was taken"
done >>/out/refused
rmmod kvm_intel
rmmod kvm
for value in $bad_values; do
	/usr/sbin/insmod /lab/modules/kvm.ko "$value" 2>/dev/null && echo "$value was taken"
done >>/out/refused
dmesg -c | grep -v "invalid for parameter" >/out/dmesg-1
echo "exit_stats_layout=fall22 exit_stats_hist=0" >/lab/kvm-params
load-kvm || exit
cat $debugfs/exit_stats_raw >/out/reloaded
last=
one fall22 --cpu host,vendor=AuthenticAMD
dmesg >/out/dmesg-2
exit 0
