# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: gives the host time to look, then the reader.
echo ready >/dev/vport0p1
sleep 2
/lab/reader >/tmp/figures || exit
cat /tmp/figures >/dev/vport0p1
echo done >/dev/vport0p1
exit 0
