# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: some work, then its own exits, sent to the host.
i=0
while [ $i -lt 30 ]; do
	(true)
	usleep 3000
	i=$((i + 1))
done
echo ready >/dev/vport0p1
/lab/vmxscope exits --json >/tmp/exits
cat /tmp/exits >/dev/vport0p1
# A guest that is to be reset waits for that.
grep -q lab.reboot /proc/cmdline && sleep 1000
exit 0
