# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: each view of the program, into the file of the host
# that is the port, under a title.
port=/dev/vport0p1
title() { echo "== $1 $2" >$port; }
show() { # NAME COMMAND...: its output and its status
	name=$1
	shift
	"$@" >/tmp/output 2>/tmp/error
	status=$?
	title "$name" $status
	cat /tmp/output /tmp/error >$port
}
vmxscope=/lab/vmxscope
show json $vmxscope exits --json
show exits $vmxscope exits
show csv $vmxscope exits --csv
show prometheus $vmxscope exits --prometheus
show leaf $vmxscope leaf 0x4ffffffd -s 1
show cpuid cpuid -1 -r -l 0x4ffffffd -s 1
show stat-exact $vmxscope stat --idle 0 --json -- /lab/cpuids
show stat $vmxscope stat -r 3 -- /lab/cpuids
show causes $vmxscope stat --idle 0 --causes --json -- /lab/cpuids
show causes-shown $vmxscope causes -- /lab/cpuids
show status $vmxscope stat --idle 0 --csv -- sh -c 'exit 7'
# A boot's worth of work, with some rest in it.
# shellcheck disable=SC2016  # The inner shell expands it.
work='for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/tmp/file bs=64k count=40 2>/dev/null; sleep 0.3; done'
show record $vmxscope record -o /tmp/work.rec --interval 500ms -- sh -c "$work"
title recording 0
cat /tmp/work.rec >$port
show report $vmxscope report /tmp/work.rec
show check $vmxscope check
# The live screen, ten times a second; what it costs by the scheduler's clock.
/lab/inpty /tmp/screen $vmxscope watch --interval 100ms &
terminal=$!
sleep 5
watch=$(pidof vmxscope)
first=$(cat "/proc/$watch/schedstat") from=$(cut -d' ' -f1 /proc/uptime)
sleep 10
last=$(cat "/proc/$watch/schedstat") to=$(cut -d' ' -f1 /proc/uptime)
kill "$watch"
wait $terminal
title watch $?
echo "$first $last $from $to" >$port
title screen 0
base64 /tmp/screen >$port
title ready 0
# The host looks now.
sleep 8
exit 0
