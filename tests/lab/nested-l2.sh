# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest (L2): loads KVM there and runs a guest of its own
# (L3); nested.sh looks at its exits then.
report() { echo "$@" >/dev/vport0p1; }
cd /lab || exit
insmod irqbypass.ko && insmod kvm.ko && insmod kvm-intel.ko || exit
/lab/l3 work 1000 >/tmp/said 2>&1
report "l3 $?"
cat /tmp/said >/dev/vport0p1
exit 0
