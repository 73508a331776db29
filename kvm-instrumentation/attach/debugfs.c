// SPDX-License-Identifier: GPL-2.0
/*
 * vmx_exits: the host's tables in debugfs.
 *
 * vmx_exits/exit_stats_raw is of all VMs that there are, and in the folder of each,
 * vmx_exits/<pid>-<fd> as in KVM's own, are the same of one, exit_stats_vcpus,
 * exit_stats_causes if they are kept, and guest, by which the VMM lets the guest read its exits (1) or not (0).  Writing 0
 * to a table resets it; the counters themselves are never written.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vmx_exits.h"
#include "../exit_stats_alloc.h"
#include "../exit_stats_show.h"

static struct dentry *vmx_exits_dir;

/* Add what a VM counts to @all, and what it had counted at its latest reset to @base. */
static void vmx_exits_add_vm(struct vmx_exits_vm *vm, struct exit_stats *all,
			     struct exit_stats *base)
{
	mutex_lock(&vm->lock);
	vmx_exits_sum(vm, all);
	if (vm->base)
		exit_stats_add(base, vm->base);
	mutex_unlock(&vm->lock);
}

static struct exit_stats *vmx_exits_new(void)
{
	const struct exit_stats_config config = { .vendor = vmx_exits_vendor, .hist = true };

	return exit_stats_alloc(&config, 0, GFP_KERNEL_ACCOUNT);
}

static int vmx_exits_show(struct seq_file *m, void *unused)
{
	struct exit_stats *all = vmx_exits_new();
	struct exit_stats *base = vmx_exits_new();
	struct vmx_exits_vm *vm = m->private;
	int r = -ENOMEM;

	if (!all || !base)
		goto out;

	if (vm) {
		vmx_exits_add_vm(vm, all, base);
	} else {
		mutex_lock(&vmx_exits_lock);
		list_for_each_entry(vm, &vmx_exits_vms, list)
			vmx_exits_add_vm(vm, all, base);
		mutex_unlock(&vmx_exits_lock);
	}
	exit_stats_show_table(m, all, base);
	r = 0;
out:
	kfree(all);
	kfree(base);
	return r;
}

static int vmx_exits_show_vcpus(struct seq_file *m, void *unused)
{
	struct vmx_exits_vm *vm = m->private;
	struct vmx_exits_vcpu *v;

	exit_stats_show_vcpu_header(m);
	list_for_each_entry_rcu(v, &vm->vcpus, list, true)
		exit_stats_show_vcpu(m, v->id, &v->exits);
	return 0;
}

static int vmx_exits_show_causes(struct seq_file *m, void *unused)
{
	struct vmx_exits_vm *vm = m->private;
	struct exit_stats *sum = exit_stats_alloc(&vm->config, 2 * EXIT_STATS_CAUSE_ENTRIES,
						  GFP_KERNEL_ACCOUNT);

	if (!sum)
		return -ENOMEM;

	vmx_exits_sum(vm, sum);
	exit_stats_show_causes(m, sum);
	exit_stats_free(sum);
	return 0;
}

static int vmx_exits_reset_vm(struct vmx_exits_vm *vm)
{
	struct exit_stats *now = vmx_exits_new();

	if (!now)
		return -ENOMEM;

	mutex_lock(&vm->lock);
	vmx_exits_sum(vm, now);
	swap(vm->base, now);
	mutex_unlock(&vm->lock);
	kfree(now);
	return 0;
}

static ssize_t vmx_exits_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct vmx_exits_vm *vm = file_inode(file)->i_private;
	u64 value;
	int r;

	r = kstrtou64_from_user(buf, len, 0, &value);
	if (r)
		return r;
	if (value)
		return -EINVAL;
	if (vm)
		return vmx_exits_reset_vm(vm) ?: len;

	mutex_lock(&vmx_exits_lock);
	list_for_each_entry(vm, &vmx_exits_vms, list) {
		r = vmx_exits_reset_vm(vm);
		if (r)
			break;
	}
	mutex_unlock(&vmx_exits_lock);
	return r ?: len;
}

/* The table of all reasons fits, so that a reader gets one consistent view. */
#define VMX_EXITS_TABLE_SIZE (16 * PAGE_SIZE)

/* An open file keeps what it shows, though the VM may end. */
static int vmx_exits_open_as(struct inode *inode, struct file *file,
			     int (*show)(struct seq_file *m, void *unused))
{
	struct vmx_exits_vm *vm = inode->i_private;
	int r = single_open_size(file, show, vm, VMX_EXITS_TABLE_SIZE);

	if (!r && vm)
		kref_get(&vm->ref);
	return r;
}

static int vmx_exits_open(struct inode *inode, struct file *file)
{
	return vmx_exits_open_as(inode, file, vmx_exits_show);
}

static int vmx_exits_open_vcpus(struct inode *inode, struct file *file)
{
	return vmx_exits_open_as(inode, file, vmx_exits_show_vcpus);
}

static int vmx_exits_open_causes(struct inode *inode, struct file *file)
{
	return vmx_exits_open_as(inode, file, vmx_exits_show_causes);
}

static int vmx_exits_release(struct inode *inode, struct file *file)
{
	struct vmx_exits_vm *vm = inode->i_private;
	int r = single_release(inode, file);

	if (vm)
		vmx_exits_put_vm(vm);
	return r;
}

static const struct file_operations vmx_exits_fops = {
	.owner = THIS_MODULE,
	.open = vmx_exits_open,
	.read = seq_read,
	.write = vmx_exits_write,
	.llseek = seq_lseek,
	.release = vmx_exits_release,
};

static const struct file_operations vmx_exits_vcpus_fops = {
	.owner = THIS_MODULE,
	.open = vmx_exits_open_vcpus,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = vmx_exits_release,
};

static const struct file_operations vmx_exits_causes_fops = {
	.owner = THIS_MODULE,
	.open = vmx_exits_open_causes,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = vmx_exits_release,
};

static int vmx_exits_get_guest(void *data, u64 *value)
{
	const struct vmx_exits_vm *vm = data;

	*value = READ_ONCE(vm->guest);
	return 0;
}

static int vmx_exits_set_guest(void *data, u64 value)
{
	struct vmx_exits_vm *vm = data;

	if (value > 1)
		return -EINVAL;
	if (!vm->vmm_decides)
		return -EPERM;

	WRITE_ONCE(vm->guest, value);
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(vmx_exits_guest_fops, vmx_exits_get_guest, vmx_exits_set_guest, "%llu\n");

/* While the VM is there, and with the lock of the list of VMs held. */
void vmx_exits_create_vm_debugfs(struct vmx_exits_vm *vm)
{
	struct dentry *own = vm->kvm->debugfs_dentry;

	if (IS_ERR_OR_NULL(own))
		return;

	/* KVM names the folder once, and removes it when it has destroyed the VM. */
	vm->dir = debugfs_create_dir(own->d_name.name, vmx_exits_dir);
	debugfs_create_file("exit_stats_raw", 0644, vm->dir, vm, &vmx_exits_fops);
	debugfs_create_file("exit_stats_vcpus", 0444, vm->dir, vm, &vmx_exits_vcpus_fops);
	if (vm->config.causes)
		debugfs_create_file("exit_stats_causes", 0444, vm->dir, vm, &vmx_exits_causes_fops);
	debugfs_create_file_unsafe("guest", 0644, vm->dir, vm, &vmx_exits_guest_fops);
}

void vmx_exits_remove_vm_debugfs(struct vmx_exits_vm *vm)
{
	debugfs_remove(vm->dir);
}

void vmx_exits_create_debugfs(void)
{
	vmx_exits_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("exit_stats_raw", 0644, vmx_exits_dir, NULL, &vmx_exits_fops);
}

void vmx_exits_remove_debugfs(void)
{
	debugfs_remove(vmx_exits_dir);
}
