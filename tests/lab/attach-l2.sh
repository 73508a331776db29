# SPDX-License-Identifier: GPL-2.0
# Runs in the nested guest: keeps two vCPUs busy with programs that ask CPUID, and with
# what a timer and its interrupts take, while it asks who answers.
while :; do cpuid -1 -r -l 0 >/dev/null; done &
while :; do
	# shellcheck disable=SC2046  # Words are wanted.
	set -- $(cpuid -1 -r -l 0x4ffffffb -s 0)
	case "$*" in
	*ebx=0x454d564b*) said=served ;;
	*) said=own ;;
	esac
	eax=${*#*eax=}
	cpuid -1 -r >/dev/null
	echo "$said eax=${eax%% *}" >/dev/vport0p1
done
