# SPDX-License-Identifier: GPL-2.0
# Runs in L1, before one of the other scripts here: what they share.
debugfs=/sys/kernel/debug/kvm
event=/sys/kernel/tracing/events/kvm/kvm_exit
dmesg -c >/dev/null
load-kvm || exit
echo 'hist:keys=exit_reason' >$event/trigger || exit
until_ready() { # TIMES NAME [COMMAND...]: until that guest has said so; meanwhile, the command
	times=$1 name=$2
	shift 2
	until [ "$(grep -c '^ready' "/run/guest/$name.status" 2>/dev/null)" = "$times" ]; do
		"${@:-true}"
		usleep 200000
	done
}
look() { # FOLDER: what each view says of the guests, which are stopped meanwhile
	mkdir "/out/$1"
	stopped sh -c "
		cat $event/hist >/out/$1/hist
		cat $debugfs/exit_stats_raw >/out/$1/host
		for vm in $debugfs/*-*; do
			mkdir /out/$1/\${vm##*/}
			cp \$vm/exit* /out/$1/\${vm##*/}
		done"
}
end() {
	look end
	for qemu in $(pidof qemu-system-x86_64); do kill "$qemu"; done
	wait
	dmesg >/out/dmesg
	exit 0
}
