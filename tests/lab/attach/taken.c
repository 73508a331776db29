// SPDX-License-Identifier: GPL-2.0
/* Redirects kvm_cpuid(), as a live patch does: to where it goes anyway. */
#include <linux/ftrace.h>
#include <linux/module.h>

static void taken_call(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		       struct ftrace_regs *fregs)
{
}

static struct ftrace_ops taken_ops = {
	.func = taken_call,
	.flags = FTRACE_OPS_FL_IPMODIFY,
};

static int __init taken_init(void)
{
	char name[] = "kvm_cpuid";

	return ftrace_set_filter(&taken_ops, name, sizeof(name) - 1, 1) ?:
	       register_ftrace_function(&taken_ops);
}

static void __exit taken_exit(void)
{
	unregister_ftrace_function(&taken_ops);
}

module_init(taken_init);
module_exit(taken_exit);
MODULE_DESCRIPTION("Takes a function of KVM, as a live patch does");
MODULE_LICENSE("GPL");
