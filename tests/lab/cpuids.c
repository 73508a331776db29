/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Executes CPUID exactly COUNT times and ends. No C library: that would ask for
 * the CPU's features by CPUID before main().
 */
#ifndef COUNT
#define COUNT 1000
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

__asm__(".globl _start\n"
	"_start:\n"
	"	movl $" TEXT(COUNT) ", %r12d\n"
	"1:	xorl %eax, %eax\n"
	"	xorl %ecx, %ecx\n"
	"	cpuid\n"
	"	decl %r12d\n"
	"	jnz 1b\n"
	"	movl $60, %eax\n"
	"	xorl %edi, %edi\n"
	"	syscall\n");
