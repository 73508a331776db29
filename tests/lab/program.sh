# SPDX-License-Identifier: GPL-2.0
# Runs in L1: what the program says of the CPU and of KVM, then of a nested guest.
/usr/sbin/insmod /lab/modules/vmx_caps.ko || exit
dmesg | sed -n 's/^\(\[[^]]*\] \)\?vmx_caps: //p' >/out/log
rmmod vmx_caps
load-kvm && echo 1 >/sys/module/kvm/parameters/exit_stats_causes || exit
vmxscope=/lab/vmxscope
$vmxscope caps --log >/out/caps-log 2>/out/caps-error
$vmxscope caps >/out/caps
$vmxscope caps --json >/out/caps.json
$vmxscope caps --from nested --json >/out/nested.json
$vmxscope caps diff live nested >/out/withheld
echo $? >/out/withheld-status
cd /sys/module/kvm_intel/parameters && grep . -- * >/out/parameters
cd / || exit
$vmxscope vms >/out/no-vms
guest "$@" -- -name guest=lab -qmp unix:/run/qmp,server=on,wait=off &
guest=$!
until grep -q '^== ready' /run/guest/l2.status 2>/dev/null; do
	kill -0 $guest 2>/dev/null || { echo "the guest ended early"; cat /run/guest/l2.status; exit 1; }
	sleep 0.5
done
raw=$(echo /sys/kernel/debug/kvm/*-*)/exit_stats_raw
cat "$raw" >/out/raw-before
$vmxscope exits --qmp /run/qmp --json >/out/qmp.json 2>/out/qmp-error
echo $? >/out/qmp-status
cat "$raw" >/out/raw-after
$vmxscope exits --qmp /run/qmp --per-vcpu >/out/per-vcpu 2>&1
$vmxscope stat --idle 0 --vm lab -- sleep 1 >/dev/null 2>/out/stat
ip link set lo up
$vmxscope exporter --listen --vms >/out/exporter 2>&1 &
exporter=$!
sleep 1
wget -q -O /out/metrics http://127.0.0.1:19469/metrics
kill $exporter
wait $exporter
echo $? >/out/exporter-status
# A stopped VM has no exits: each view has to say the same.
qemu=$(pidof qemu-system-x86_64)
kill -STOP "$qemu"
cat "$raw" >/out/raw
$vmxscope exits --vm lab --json >/out/vm.json
$vmxscope exits --vm "$qemu" --csv >/out/vm.csv
$vmxscope exits --host --json >/out/host.json
$vmxscope vms --json >/out/vms.json
cat "${raw%raw}causes" >/out/raw-causes
$vmxscope exits --vm lab --causes --json >/out/causes.json
$vmxscope causes --vm lab >/out/causes
$vmxscope exporter --textfile /out/lab.prom --vm lab
kill -CONT "$qemu"
wait $guest
status=$?
cp /run/guest/l2.status /out/guest
exit $status
