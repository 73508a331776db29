// SPDX-License-Identifier: GPL-2.0
//! Counters and times of VM exits.
#![no_std]
