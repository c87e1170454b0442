#include "worker/runtime/initramfs.h"

#include "base/file.h"
#include "base/mem.h"
#include "proto/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE_MAX ((size_t)16 << 20)
#define AGENT_MAX ((size_t)64 << 20)

// ---- the archive ----------------------------------------------------------------------------------------------------

static void pad(struct buf *b)
{
	while (b->len % 4)
		buf_addc(b, '\0');
}

static void add(struct buf *b, const char *name, unsigned mode, const void *bytes, size_t n)
{
	// Number, mode, user, group, links, time, size, device, device of the file, length of the name, checksum.
	static unsigned number;
	buf_addf(b, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ++number & 0xffff, mode, 0, 0, 1, 0, n,
		 0, 0, 0, 0, strlen(name) + 1, 0);
	buf_add(b, name, strlen(name) + 1);
	pad(b);
	buf_add(b, bytes, n);
	pad(b);
}

void initramfs_add_directory(struct buf *archive, const char *name)
{
	add(archive, name, S_IFDIR | 0755, "", 0);
}

void initramfs_add_file(struct buf *archive, const char *name, unsigned mode, const void *bytes, size_t n)
{
	add(archive, name, S_IFREG | mode, bytes, n);
}

void initramfs_end(struct buf *archive)
{
	add(archive, "TRAILER!!!", 0, "", 0);
}

// ---- what a VM needs ------------------------------------------------------------------------------------------------

// Each after those that it needs. What a kernel has built in is not below its directory.
static const char *const modules_of_vm[] = {
	"kernel/drivers/virtio/virtio_ring.ko",
	"kernel/drivers/virtio/virtio.ko",
	"kernel/drivers/virtio/virtio_mmio.ko",
	"kernel/drivers/char/virtio_console.ko",
	"kernel/drivers/block/virtio_blk.ko",
	"kernel/lib/libcrc32c.ko",
	"kernel/fs/erofs/erofs.ko",
	"kernel/net/vmw_vsock/vsock.ko",
	"kernel/net/vmw_vsock/vmw_vsock_virtio_transport_common.ko",
	"kernel/net/vmw_vsock/vmw_vsock_virtio_transport.ko",
};

static int add_modules(struct buf *archive, const char *directory, struct err *err)
{
	AUTO_BUF struct buf order = BUF_INIT;
	AUTO_CLOSE int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, "cannot open the modules '%s'", directory);
	initramfs_add_directory(archive, VM_MODULES);
	for (size_t i = 0; i < COUNT_OF(modules_of_vm); i++) {
		AUTO_BUF struct buf module = BUF_INIT;
		struct err missing = ERR_INIT;
		char name[128];
		const char *path = modules_of_vm[i], *base = strrchr(path, '/') + 1;
		if (file_read(dir, path, MODULE_MAX, &module, NULL, &missing) < 0) {
			if (missing.code == ERR_NOT_FOUND)
				continue;
			return err_set(err, missing.code, "%s", missing.text);
		}
		snprintf(name, sizeof name, VM_MODULES "/%s", base);
		initramfs_add_file(archive, name, 0644, module.data, module.len);
		buf_addf(&order, "%s\n", base);
	}
	if (!order.len)
		return err_set(err, ERR_NOT_FOUND, "'%s' has no module that a VM needs: is it a directory of /lib/modules?",
			       directory);
	initramfs_add_file(archive, VM_MODULES "/" VM_MODULE_ORDER, 0644, order.data, order.len);
	return 0;
}

int initramfs_make(struct buf *archive, int agent, int filter, const char *modules, struct err *err)
{
	static const char *const directories[] = {"dev", "sys", "proc"};
	AUTO_BUF struct buf program = BUF_INIT;
	AUTO_BUF struct buf rules = BUF_INIT;
	if (lseek(agent, 0, SEEK_SET) < 0 || file_read_fd(agent, AGENT_MAX, &program, err) < 0)
		return err_wrap(err, "cannot read the agent");
	if (lseek(filter, 0, SEEK_SET) < 0 || file_read_fd(filter, 64 * 1024, &rules, err) < 0)
		return err_wrap(err, "cannot read the filter");
	for (size_t i = 0; i < COUNT_OF(directories); i++)
		initramfs_add_directory(archive, directories[i]);
	initramfs_add_file(archive, VM_INIT, 0755, program.data, program.len);
	initramfs_add_file(archive, VM_FILTER, 0644, rules.data, rules.len);
	if (modules && add_modules(archive, modules, err) < 0)
		return -1;
	initramfs_end(archive);
	return 0;
}
