/* SPDX-License-Identifier: GPL-2.0 */
/* What exit_stats.h takes from the kernel's header of this name. */
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
