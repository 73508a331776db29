# SPDX-License-Identifier: GPL-2.0
# Runs in L1, before one of the other scripts here: what they share.
debugfs=/sys/kernel/debug/kvm
event=/sys/kernel/tracing/events/kvm/kvm_exit
dmesg -c >/dev/null
load-kvm || exit
begin() { echo 'hist:keys=exit_reason' >$event/trigger && cat $debugfs/exit_stats_raw >/out/before; }
end() {
	cat $event/hist >/out/hist
	cat $debugfs/exit_stats_raw >/out/after
	dmesg >/out/dmesg
	exit 0
}
until_gone() { # PID COMMAND...: again and again, while that process runs
	process=$1
	shift
	while kill -0 "$process" 2>/dev/null; do "$@"; done
}
begin
