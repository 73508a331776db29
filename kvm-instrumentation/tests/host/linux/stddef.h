/* SPDX-License-Identifier: GPL-2.0 */
/* What exit_stats.h takes from the kernel's header of this name. */
#include <stddef.h>
