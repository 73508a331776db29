# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: the leaves by our reader and by Debian's cpuid, one
# after the other, and what our program says. All of it goes to the host.
reasons="1 3 10 12 28 30 35 48 52 55 69 444"
ours() {
	for leaf in 0x4ffffffc 0x4ffffffd 0x4ffffffe 0x4fffffff; do
		/lab/vmxscope leaf $leaf -s 0-69
		/lab/vmxscope leaf $leaf -s 444
	done
}
theirs() {
	for leaf in 0x4ffffffc 0x4ffffffd 0x4ffffffe 0x4fffffff; do
		for reason in $reasons; do cpuid -1 -r -l $leaf -s "$reason"; done
	done
	for leaf in 0x4ffffffa 0x4ffffffb; do
		for reason in 0 1 10; do cpuid -1 -r -l $leaf -s "$reason"; done
	done
}
{
	echo "== before"; ours
	echo "== cpuid"; theirs
	echo "== after"; ours
	echo "== instance"; /lab/vmxscope leaf 0x4ffffffb -s 2
	echo "== cpus"; /lab/vmxscope leaf 0x4ffffffd -s 55 --all-cpus
	echo "== check"; /lab/vmxscope check --random 1000; echo "status $?"
	echo "== exits"; /lab/vmxscope exits --json; echo "status $?"
} >/tmp/all 2>&1
cat /tmp/all >/dev/vport0p1
exit 0
