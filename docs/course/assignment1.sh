# SPDX-License-Identifier: GPL-2.0
# Runs in L1: loads the capability module, keeps what it logs, unloads it.
insmod /lab/modules/vmx_caps.ko || exit
dmesg | sed -n 's/^\(\[[^]]*\] \)\?vmx_caps: //p' >/out/vmx_caps.log
rmmod vmx_caps
