# SPDX-License-Identifier: GPL-2.0
# Runs in L1: gives vmx_exits one reason after the other to refuse, and writes
# what insmod and the kernel's log said of each.
refused() { # NAME [PARAM...]
	name=$1
	shift
	dmesg -c >/dev/null
	/usr/sbin/insmod /lab/modules/vmx_exits.ko "$@" 2>/out/"$name".error
	echo $? >/out/"$name".status
	dmesg | sed 's/^\[[^]]*\] //' | grep -v 'loading out-of-tree\|verification failed' >/out/"$name".log
	[ ! -e /sys/module/vmx_exits ] || rmmod vmx_exits
}
refused no-kvm
insmod /lab/unknown.ko || exit
refused unknown
rmmod unknown
load-kvm || exit
refused guest guest=perhaps
refused layout layout=autumn
refused hist hist=2
sysctl -q -w kernel.ftrace_enabled=0 || exit
refused ftrace-off
sysctl -q -w kernel.ftrace_enabled=1
insmod /lab/taken.ko || exit
refused taken
rmmod taken
if [ -d /sys/module/kvm_intel ]; then
	mount -t tmpfs none /sys/module/kvm_intel/parameters
	echo Y >/sys/module/kvm_intel/parameters/enlightened_vmcs
	refused enlightened
	umount /sys/module/kvm_intel/parameters
fi
refused nothing
# While it is there, KVM cannot go, nor ftrace be turned off.
/usr/sbin/insmod /lab/modules/vmx_exits.ko guest=vmm layout=fall22 hist=0 || exit
cat /sys/module/vmx_exits/parameters/guest /sys/module/vmx_exits/parameters/layout \
	/sys/module/vmx_exits/parameters/hist >/out/parameters
rmmod kvm_intel 2>/out/rmmod-kvm
echo $? >>/out/rmmod-kvm
sysctl -q -w kernel.ftrace_enabled=0 2>/out/turn-off
cat /proc/sys/kernel/ftrace_enabled >/out/ftrace
rmmod vmx_exits || exit
rmmod kvm_intel kvm || exit
dmesg >/out/dmesg
exit 0
