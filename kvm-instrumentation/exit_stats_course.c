// SPDX-License-Identifier: GPL-2.0
/*
 * Counts and times of VM exits: the leaf numbers of a course's semesters.
 *
 * The same assignment was given with other numbers in other semesters.  Only
 * which of the leaves 0x4ffffffc to 0x4fffffff means what depends on it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>

#include "exit_stats_hooks.h"

static const char *const exit_stats_layout_words[] = { "spring22", "fall22", "combined" };
static unsigned int exit_stats_layout;
static struct kvm_exit_stats_words exit_stats_layout_arg = {
	exit_stats_layout_words, ARRAY_SIZE(exit_stats_layout_words), &exit_stats_layout
};

module_param_cb(exit_stats_layout, &kvm_exit_stats_word_ops, &exit_stats_layout_arg, 0644);
__MODULE_PARM_TYPE(exit_stats_layout, "charp");
MODULE_PARM_DESC(exit_stats_layout,
		 "Leaves 0x4ffffffc to f, in VMs made from now on: spring22, fall22 or combined");

u32 kvm_exit_stats_layout(void)
{
	return READ_ONCE(exit_stats_layout);
}
