/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counts and times of VM exits: memory for a set of counters.
 *
 * KVM allocates by it, and so does a module that counts beside an unmodified KVM.
 */
#ifndef __KVM_X86_EXIT_STATS_ALLOC_H
#define __KVM_X86_EXIT_STATS_ALLOC_H

#include <linux/compiler.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>

static inline void exit_stats_free(struct exit_stats *s)
{
	if (s)
		kfree(s->causes);
	kfree(s);
}

/*
 * A set with what @config asks for, and room for so many causes.  A set and its
 * histograms are one allocation, of a power of two: that is aligned.
 */
static inline struct exit_stats *exit_stats_alloc(const struct exit_stats_config *config,
						  u32 entries, gfp_t gfp)
{
	size_t size = sizeof(struct exit_stats);
	struct exit_stats *s;

	if (config->hist)
		size += sizeof(struct exit_stats_hist);
	s = kzalloc(roundup_pow_of_two(size), gfp);
	if (!s)
		return NULL;

	s->vendor = config->vendor;
	s->hist = config->hist ? (void *)(s + 1) : NULL;
	memset(s->map, EXIT_STATS_NO_ROW, sizeof(s->map));
	if (!READ_ONCE(config->causes))
		return s;

	s->causes = kzalloc(struct_size(s->causes, entry, entries), gfp);
	if (!s->causes) {
		kfree(s);
		return NULL;
	}

	s->causes->seeds[0] = get_random_u64() | 1;
	s->causes->seeds[1] = get_random_u64() | 1;
	s->causes->capacity = entries;
	return s;
}

#endif /* __KVM_X86_EXIT_STATS_ALLOC_H */
