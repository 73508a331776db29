# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: some work, then its own exits, sent to the host, which
# looks then and ends the guest.
i=0
while [ $i -lt 30 ]; do
	(true)
	usleep 3000
	i=$((i + 1))
done
# One vCPU exits all the while, and the other checks the interface.
if grep -q lab.check /proc/cmdline; then
	while :; do /lab/vmxscope leaf 0x40000000 -s 0-999 >/dev/null; done &
	i=0
	while [ $i -lt 50 ]; do
		taskset 1 /lab/vmxscope check >/tmp/check
		echo "check $?" >>/tmp/check
		cat /tmp/check >/dev/vport0p1
		i=$((i + 1))
	done
	kill $!
fi
/lab/vmxscope exits --json >/tmp/exits
echo "== exits" >/dev/vport0p1
cat /tmp/exits >/dev/vport0p1
echo ready >/dev/vport0p1
sleep 1000
