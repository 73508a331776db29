# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: on both vCPUs work that exits, while it asks who answers.
while :; do (true); done &
while :; do
	# shellcheck disable=SC2046  # Words are wanted.
	set -- $(cpuid -1 -r -l 0x4ffffffb -s 0 | tail -n 1)
	case $4 in
	ebx=0x454d564b) said="served $3" ;;
	*) said="own $3" ;;
	esac
	i=0
	while [ $i -lt 15 ]; do
		(true)
		i=$((i + 1))
	done
	echo "$said" >/dev/vport0p1
done
