#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Runs in L2: what one reading of all figures costs, with the clock around it; and
# around a run of the same program that reads nothing.
for _ in 1 2 3 4 5; do
	before=$(/lab/exitkinds tsc)
	vmxscope exits --json >/tmp/exits.json || exit
	after=$(/lab/exitkinds tsc)
	vmxscope --version >/dev/null || exit
	end=$(/lab/exitkinds tsc)
	exits=$(sed -n 's/.*"read_exits": *\([0-9]*\).*/\1/p' /tmp/exits.json)
	echo "read exits $exits reading ${before#tsc } ${after#tsc } nothing ${after#tsc } ${end#tsc }"
done
