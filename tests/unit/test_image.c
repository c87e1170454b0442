// Images of a worker: who holds one, and the disk that is made of it.
#include "image/disk.h"
#include "image/use.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NAME "sha256:" HEX

static char *images;

static void write_text(const char *name, const char *text)
{
	AUTO_FREE char *path = mem_printf("%s/sha256-" HEX "/%s", images, name);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static void setup(void)
{
	images = unit_directory();
	AUTO_FREE char *rootfs = mem_printf("%s/sha256-" HEX "/rootfs", images);
	ck_assert_int_eq(file_make_dirs(rootfs, 0755, NULL), 0);
	write_text(IMAGE_DISK, "disk");
}

static void teardown(void)
{
	tree_remove(AT_FDCWD, images);
	free(images);
}

// image.json, with the digest of the disk as it is now.
static void describe(void)
{
	char digest[BLOB_DIGEST];
	AUTO_FREE char *disk = mem_printf("%s/sha256-" HEX "/" IMAGE_DISK, images);
	AUTO_CLOSE int fd = open(disk, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(blob_digest_of(fd, digest, NULL), 0);
	AUTO_FREE char *text = mem_printf("{\"digest\": \"" NAME "\", \"disk\": \"%s\"}", digest);
	write_text("image.json", text);
}

START_TEST(a_held_image_is_not_removed)
{
	struct err err = ERR_INIT;
	int one, two, claimed;
	ck_assert_int_eq(image_hold(images, NAME, &one, &err), 0);
	ck_assert_int_eq(image_hold(images, NAME, &two, &err), 0);
	close(one);
	ck_assert_int_eq(image_remove(images, NAME, &err), -1);
	ck_assert_int_eq(err.code, ERR_BUSY);
	close(two);
	ck_assert_int_eq(image_claim(images, NAME, &claimed, &err), 0);
	err_clear(&err);
	ck_assert_int_eq(image_hold(images, NAME, &one, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
	close(claimed);
	ck_assert_int_eq(image_remove(images, NAME, &err), 0);
	ck_assert_int_eq(image_hold(images, NAME, &one, &err), -1);
	ck_assert_int_eq(err.code, ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_note_is_newer_than_the_import)
{
	AUTO_FREE char *uses = mem_printf("%s/a/b", images);
	const char *const list[] = {"/nonexistent", uses, NULL};
	AUTO_FREE char *dir = mem_printf("%s/sha256-" HEX, images);
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	ck_assert_int_eq(utimensat(AT_FDCWD, dir, old, 0), 0);
	ck_assert_int_eq(image_last_use(images, list, NAME), 1000);
	image_note_use(NULL, NAME);
	image_note_use("/proc/nonexistent", NAME);
	image_note_use(uses, NAME);
	ck_assert_int_gt(image_last_use(images, list, NAME), 1000);
	ck_assert_int_eq(image_last_use("/nonexistent", list, NAME), 0);
}
END_TEST

START_TEST(a_disk_is_taken_only_with_its_digest)
{
	struct err err = ERR_INIT;
	struct stat st;
	AUTO_FREE char *to = mem_printf("%s/copy", images);
	ck_assert_int_eq(disk_copy(images, NAME, to, &err), 0);
	describe();
	ck_assert_int_eq(disk_copy(images, NAME, to, &err), 1);
	ck_assert_int_eq(stat(to, &st), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(unlink(to), 0);
	write_text(IMAGE_DISK, "risk");
	ck_assert_int_eq(disk_copy(images, NAME, to, &err), -1);
	ck_assert_int_eq(err.code, ERR_FORMAT);
	ck_assert_int_eq(stat(to, &st), -1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("image");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_held_image_is_not_removed);
	tcase_add_test(t, a_note_is_newer_than_the_import);
	tcase_add_test(t, a_disk_is_taken_only_with_its_digest);
	suite_add_tcase(s, t);
	return s;
}
