# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Runs in L1: checks what the reader /lab/reader in the nested guest prints of
# each exit reason against the kernel's own count of its kvm_exit events, which
# is taken before the reader runs and after. Ends with 1 if any is not between.
events=/sys/kernel/tracing/events/kvm/kvm_exit
load-kvm || exit
echo 'hist:keys=exit_reason' >$events/trigger || exit
guest &
guest=$!
until grep -q '^ready' /run/guest/l2.status 2>/dev/null; do
	kill -0 $guest 2>/dev/null || { echo "the guest ended early"; exit 1; }
	sleep 0.2
done
cat $events/hist >/out/before
grep -q '^done' /run/guest/l2.status && { echo "the reader came too early"; exit 1; }
wait $guest || exit
cat $events/hist >/out/after
sed -n '/^ready/,/^done/p' /run/guest/l2.status >/out/reader
# The upper half of an exit reason holds flags.
awk '
	FILENAME != "/out/reader" {
		if (!/exit_reason:/) next
		gsub(/[{},]/, " ")
		sum[FILENAME, $2 % 65536] += $4
		next
	}
	NF < 2 || $2 == "undefined" || $1 == "all" { next }
	{
		low = sum["/out/before", $1] + 0
		high = sum["/out/after", $1] + 0
		good = low <= $2 && $2 <= high
		if (!good || high) printf "reason %2d: %6d <= %6d <= %6d %s\n", $1, low, $2, high, good ? "ok" : "WRONG"
		seen++
		wrong += !good
	}
	END {
		printf "%d reasons, %d wrong\n", seen, wrong
		exit !seen || wrong > 0
	}
' /out/before /out/after /out/reader
