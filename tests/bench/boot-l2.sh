#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# Runs in L2: says what its TSC has counted since the VM was made. Then the host
# reads its counters, and ends the VM.
/lab/exitkinds tsc >/dev/vport0p1
sleep 1000
