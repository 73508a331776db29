/* SPDX-License-Identifier: GPL-2.0 */
/* What exit_stats.h takes from the kernel's header of this name. */
#define static_assert(expr) _Static_assert(expr, #expr)
