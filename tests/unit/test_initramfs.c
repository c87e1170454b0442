// The initial file system of a microVM: what the kernel reads is what was put in.
#include "worker/runtime/initramfs.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "proto/vm.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
	char name[256];
	unsigned long mode, size;
	const char *bytes;
};

// The next entry, by the kernel's description of the format; false at the trailer.
static bool next(const struct buf *b, size_t *at, struct entry *e)
{
	unsigned long field[13];
	const char *p = b->data + *at;
	ck_assert_uint_le(*at + 110, b->len);
	ck_assert_int_eq(memcmp(p, "070701", 6), 0);
	for (int i = 0; i < 13; i++) {
		char hex[9] = "";
		memcpy(hex, p + 6 + 8 * i, 8);
		field[i] = strtoul(hex, NULL, 16);
	}
	e->mode = field[1];
	e->size = field[6];
	ck_assert_uint_lt(field[11], sizeof e->name);
	memcpy(e->name, p + 110, field[11]);
	size_t data = (*at + 110 + field[11] + 3) & ~(size_t)3;
	e->bytes = b->data + data;
	*at = (data + e->size + 3) & ~(size_t)3;
	ck_assert_uint_le(*at, b->len);
	return strcmp(e->name, "TRAILER!!!") != 0;
}

static int memory(const char *text)
{
	char name[] = "/tmp/coffer-initramfs-XXXXXX";
	int fd = mkstemp(name);
	ck_assert_int_ge(fd, 0);
	unlink(name);
	ck_assert_int_eq(file_write_fd(fd, text, strlen(text), NULL), 0);
	return fd;
}

START_TEST(the_archive_has_agent_filter_and_modules_in_order)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf archive = BUF_INIT;
	AUTO_CLOSE int agent = memory("agent"), filter = memory("rules");
	char top[] = "/tmp/coffer-modules-XXXXXX", path[200];
	const char *const there[] = {"kernel/drivers/virtio/virtio_mmio.ko", "kernel/fs/erofs/erofs.ko"};
	struct entry e;
	unsigned found = 0;
	ck_assert_ptr_nonnull(mkdtemp(top));
	for (size_t i = 0; i < COUNT_OF(there); i++) {
		snprintf(path, sizeof path, "%s/%s", top, there[i]);
		AUTO_FREE char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
		ck_assert_int_eq(file_make_dirs(dir, 0755, &err), 0);
		ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "module", 6, 0644, &err), 0);
	}
	ck_assert_msg(initramfs_make(&archive, agent, filter, top, &err) == 0, "%s", err.text);
	for (size_t at = 0; next(&archive, &at, &e);) {
		if (strcmp(e.name, VM_INIT) == 0)
			found += S_ISREG(e.mode) && (e.mode & 0111) && e.size == 5 && memcmp(e.bytes, "agent", 5) == 0;
		if (strcmp(e.name, VM_FILTER) == 0)
			found += e.size == 5 && memcmp(e.bytes, "rules", 5) == 0;
		if (strcmp(e.name, VM_MODULES "/" VM_MODULE_ORDER) == 0)
			found += strncmp(e.bytes, "virtio_mmio.ko\nerofs.ko\n", e.size) == 0;
		if (strcmp(e.name, VM_MODULES "/erofs.ko") == 0)
			found += e.size == 6;
		if (strcmp(e.name, "proc") == 0)
			found += S_ISDIR(e.mode);
	}
	ck_assert_uint_eq(found, 5);
	tree_remove(AT_FDCWD, top);
}
END_TEST

START_TEST(a_directory_without_modules_is_an_error)
{
	struct err err = ERR_INIT;
	AUTO_BUF struct buf archive = BUF_INIT;
	AUTO_CLOSE int agent = memory("agent"), filter = memory("rules");
	ck_assert_int_eq(initramfs_make(&archive, agent, filter, "/usr/share", &err), -1);
	ck_assert_int_eq(initramfs_make(&archive, agent, filter, "/nonexistent", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("initramfs");
	TCase *t = tcase_create("initramfs");
	tcase_add_test(t, the_archive_has_agent_filter_and_modules_in_order);
	tcase_add_test(t, a_directory_without_modules_is_an_error);
	suite_add_tcase(s, t);
	return s;
}
