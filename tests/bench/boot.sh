# shellcheck shell=dash disable=SC2154,SC2086
# SPDX-License-Identifier: GPL-2.0
# Sourced by methods.sh: a guest's boot, by METHOD, until its init runs.
boot() { # METHOD
	begin "$1"
	rm -f /run/guest/l2.status
	$prefix guest >/run/guest.log 2>&1 &
	pid=$!
	until grep -q '^tsc' /run/guest/l2.status 2>/dev/null; do
		kill -0 $pid 2>/dev/null || { cat /run/guest.log; exit 1; }
		sleep 0.2
	done
	# The VM stands still, but is there.
	kill -STOP "$(pidof qemu-system-x86_64)"
	sleep 0.5
	taken >/run/taken
	counted "$1" >/run/counted
	echo "$1 boot $(head -n 1 /run/guest/l2.status)" >>$figures
	kill -KILL "$(pidof qemu-system-x86_64)"
	wait $pid
	result "$1" boot
}
