# SPDX-License-Identifier: GPL-2.0
# Runs in L1, on an unmodified kernel: what vmxscope counts by ftrace of a guest that is known
# to the instruction, and what it leaves behind.
tracing=/sys/kernel/tracing
trigger=$tracing/events/kvm/kvm_exit/trigger
vmxscope=/lab/vmxscope
load-kvm || exit

# Counted independently: by a trigger outside of the program's instance.
begin() { echo 'hist:keys=exit_reason' >$trigger || exit; }
end() { cat ${trigger%trigger}hist >"/out/$1" && echo '!hist:keys=exit_reason' >$trigger; }
# Until the program $1 counts by the keys $3 of the event $2.
counting() {
	until grep -qs "keys=$3:.*active" $tracing/instances/vmxscope-"$1"/events/kvm/"$2"/trigger; do
		kill -0 "$1" || exit
		sleep 0.1
	done
}

begin
$vmxscope causes --host --json /lab/l3 work 1000 true 2>/out/causes.json || exit
end causes-hist
ls $tracing/instances >/out/after-command

$vmxscope causes --from /out/causes.json >/out/table || exit
$vmxscope causes --from /out/causes.json --folded=places >/out/places || exit

# Without an option, since this KVM has no exit statistics; it ends by a signal.
begin
$vmxscope exits --host --json >/out/exits.json 2>/out/exits-said &
pid=$!
counting $pid kvm_exit isa,exit_reason
/lab/l3 work 500 true || exit
kill -INT $pid
wait $pid || exit
end exits-hist
ls $tracing/instances >/out/after-int

# Who is killed leaves its instance; one that still runs is left alone.
$vmxscope causes --host >/dev/null 2>&1 &
killed=$!
counting $killed kvm_hv_hypercall code
kill -KILL $killed
wait $killed
ls $tracing/instances >/out/after-kill
$vmxscope causes --host --json >/out/alive.json 2>/dev/null &
alive=$!
counting $alive kvm_hv_hypercall code
ls $tracing/instances >/out/next-run
echo "vmxscope-$killed vmxscope-$alive" >/out/names
$vmxscope causes --host --duration 100ms >/dev/null || exit
ls $tracing/instances >/out/beside
kill -TERM $alive
wait $alive || exit
ls $tracing/instances >/out/at-the-end

rmmod kvm_intel 2>/dev/null || rmmod kvm_amd || exit
rmmod kvm || exit
$vmxscope causes --host >/out/no-kvm 2>&1
echo $? >>/out/no-kvm
exit 0
