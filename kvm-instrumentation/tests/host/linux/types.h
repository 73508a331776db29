/* SPDX-License-Identifier: GPL-2.0 */
/* What exit_stats.h takes from the kernel's header of this name. */
#include <stdbool.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
