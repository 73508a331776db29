# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: what assignments 2 and 3 ask of the leaves.
echo "All exits, and the cycles of all:"
/lab/vmxscope leaf 0x4fffffff
/lab/vmxscope leaf 0x4ffffffe
echo "By reason: HLT, INIT, an undefined one, one past the table:"
for reason in 12 3 35 444; do
	/lab/vmxscope leaf 0x4ffffffd -s $reason
	/lab/vmxscope leaf 0x4ffffffc -s $reason
done
echo "A sleep halts the CPU, so reason 12 has counted up:"
sleep 1
/lab/vmxscope leaf 0x4ffffffd -s 12
echo "The most frequent reasons, and the least frequent are:"
/lab/vmxscope exits --sort count --color never
