# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: a workload that provokes exits of each kind, then a
# pause in which the host stops the VM, then the guest's own reading.
report() { echo "$@" >/dev/vport0p1; }
insmod /lab/provoke.ko rounds="$(cat /lab/rounds)" 2>/dev/null
dd if=/dev/zero of=/tmp/file bs=64k count=64 2>/dev/null
i=0
while [ $i -lt 20 ]; do
	(true)
	i=$((i + 1))
done
rm /tmp/file
report ready
sleep 4
/lab/vmxscope exits --all --json >/tmp/exits.json 2>/tmp/error
report "exits $?"
cat /tmp/exits.json /tmp/error >/dev/vport0p1
exit 0
