// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the exits of this guest as the course of 2020 and 2021 lays them out,
 * which has two leaves and no cycles by reason:
 *
 *   0x4fffffff  EAX all exits, EBX:ECX their cycles
 *   0x4ffffffe  EAX exits of the reason in ECX
 *
 * A reason that the SDM does not define is answered by EDX = 0xffffffff.
 */
#include <inttypes.h>
#include <stdio.h>

static inline void cpuid(uint32_t *eax, uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
	asm volatile("cpuid" : "+a"(*eax), "=b"(*ebx), "+c"(*ecx), "=d"(*edx));
}

int main(void)
{
	uint32_t eax = 0x4fffffff, ebx, ecx = 0, edx;

	cpuid(&eax, &ebx, &ecx, &edx);
	printf("all %" PRIu32 " %" PRIu64 "\n", eax, (uint64_t)ebx << 32 | ecx);
	for (uint32_t reason = 0; reason < 70; reason++) {
		eax = 0x4ffffffe;
		ecx = reason;
		cpuid(&eax, &ebx, &ecx, &edx);
		if (edx == 0xffffffff)
			printf("%" PRIu32 " undefined\n", reason);
		else
			printf("%" PRIu32 " %" PRIu32 " -\n", reason, eax);
	}
	return 0;
}
