#include "image/image.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/tree.h"
#include "image/disk.h"
#include "image/layer.h"
#include "image/layout.h"
#include "image/use.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_MAX ((size_t)1 << 20)

// "sha256-<hex>", the directory of an image.
static char *directory_of(const char *images, const char *digest)
{
	return mem_printf("%s/sha256-%s", images, digest + 7);
}

static int check_name(const char *name, struct err *err)
{
	return blob_is_digest(name)
		       ? 0
		       : err_set(err, ERR_USAGE, "'%.80s' is no name of an image: it is sha256: and 64 digits", name);
}

// ---- image.json -----------------------------------------------------------------------------------------------------

static int write_info(const char *dir, const struct image_info *info, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	AUTO_FREE char *path = mem_printf("%s/image.json", dir);
	buf_addc(&b, '{');
	json_add_field(&b, "digest", info->digest);
	json_add_field(&b, "tree", info->tree);
	json_add_field(&b, "reference", info->reference);
	if (info->disk[0]) {
		json_add_field(&b, "disk", info->disk);
		json_add_number(&b, "disk_bytes", (int64_t)info->disk_bytes);
	}
	json_add_number(&b, "bytes", (int64_t)info->bytes);
	json_add_number(&b, "files", (int64_t)info->files);
	json_add_number(&b, "left_out", info->left_out);
	buf_adds(&b, "}\n");
	return file_write_atomic(AT_FDCWD, path, b.data, b.len, 0644, err);
}

static void get_text(const json_t *o, const char *name, char *to, size_t room)
{
	const char *text = json_string_value(json_object_get(o, name));
	snprintf(to, room, "%s", text ? text : "");
}

int image_read(const char *images, const char *name, struct image_info *info, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	json_error_t why;
	*info = (struct image_info){.bytes = 0};
	if (check_name(name, err) < 0)
		return -1;
	AUTO_FREE char *dir = directory_of(images, name);
	AUTO_FREE char *path = mem_printf("%s/image.json", dir);
	if (file_read(AT_FDCWD, path, JSON_MAX, &b, NULL, err) < 0)
		return err_wrap(err, "the image '%s' was not imported here", name);
	json_t *o = json_loadb(b.data ? b.data : "", b.len, JSON_REJECT_DUPLICATES, &why);
	get_text(o, "digest", info->digest, sizeof info->digest);
	get_text(o, "tree", info->tree, sizeof info->tree);
	get_text(o, "disk", info->disk, sizeof info->disk);
	get_text(o, "reference", info->reference, sizeof info->reference);
	info->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
	info->disk_bytes = (uint64_t)json_integer_value(json_object_get(o, "disk_bytes"));
	info->files = (uint64_t)json_integer_value(json_object_get(o, "files"));
	json_decref(o);
	return strcmp(info->digest, name) == 0 ? 0
					       : err_set(err, ERR_FORMAT, "'%s' is not about the image '%s'", path, name);
}

// ---- import ---------------------------------------------------------------------------------------------------------

static int make_disk(const char *mkfs, const char *dir, struct image_info *info, struct err *err)
{
	struct stat st;
	AUTO_FREE char *rootfs = mem_printf("%s/rootfs", dir);
	AUTO_FREE char *disk = mem_printf("%s/" IMAGE_DISK, dir);
	if (disk_make(mkfs, rootfs, disk, err) < 0)
		return -1;
	AUTO_CLOSE int fd = open(disk, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "cannot open '%s'", disk);
	info->disk_bytes = (uint64_t)st.st_size;
	return blob_digest_of(fd, info->disk, err);
}

// Unpacks all layers into a directory that nobody knows of yet.
static int unpack(int layout, const struct manifest_of *m, const char *mkfs, const char *dir, struct image_info *info,
		  struct err *err)
{
	AUTO_FREE char *rootfs = mem_printf("%s/rootfs", dir);
	if (mkdir(dir, 0755) < 0 || mkdir(rootfs, 0755) < 0)
		return err_errno(err, "cannot make '%s'", rootfs);
	AUTO_CLOSE int fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct layer_root root = {.fd = fd, .left = {IMAGE_MAX_BYTES, IMAGE_MAX_ENTRIES}};
	for (size_t i = 0; i < m->n_layers; i++) {
		int blob;
		if (blob_open(layout, &m->layers[i], &blob, err) < 0)
			return -1;
		AUTO_CLOSE int layer = blob;
		if (layer_apply(&root, layer, m->diff_ids[i], err) < 0)
			return err_wrap(err, "layer %zu of the image", i + 1);
	}
	info->left_out = root.left_out;
	if (image_tree_digest(fd, info->tree, &info->bytes, &info->files, err) < 0)
		return -1;
	if ((mkfs && make_disk(mkfs, dir, info, err) < 0) || write_info(dir, info, err) < 0)
		return -1;
	// Before it gets its name: after a power cut it is there whole, or not.
	return syncfs(fd) < 0 ? err_errno(err, "cannot write the image to the disk") : 0;
}

static int import_from(int layout, const struct image_source *source, const char *images, struct image_info *info,
		       struct err *err)
{
	struct manifest_of m;
	struct stat st;
	const char *from = source->from ? source->from : source->reference;
	if (layout_read(layout, source->reference, &m, err) < 0)
		return -1;
	snprintf(info->digest, sizeof info->digest, "%s", m.descriptor.digest);
	snprintf(info->reference, sizeof info->reference, "%s", from ? from : "");
	AUTO_FREE char *dir = directory_of(images, info->digest);
	AUTO_FREE char *fresh = mem_printf("%s.new-%d", dir, (int)getpid());
	if (stat(dir, &st) == 0) {
		int known = image_read(images, m.descriptor.digest, info, err);
		layout_release(&m);
		return known < 0 ? -1 : 1;
	}
	int rc = unpack(layout, &m, source->mkfs, fresh, info, err);
	if (rc == 0 && rename(fresh, dir) < 0)
		rc = err_errno(err, "cannot keep '%s'", dir);
	if (rc < 0)
		tree_remove(AT_FDCWD, fresh);
	layout_release(&m);
	return rc;
}

int image_import(const struct image_source *source, const char *images, struct image_info *info, struct err *err)
{
	const char *path = source->layout;
	struct stat st;
	AUTO_FREE char *unpacked = NULL;
	*info = (struct image_info){.bytes = 0};
	if (stat(path, &st) < 0)
		return err_errno(err, "cannot open '%s'", path);
	if (file_make_dirs(images, 0755, err) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		unpacked = mem_printf("%s/.layout-%d", images, (int)getpid());
		if (layout_unpack(path, unpacked, err) < 0) {
			tree_remove(AT_FDCWD, unpacked);
			return -1;
		}
	}
	AUTO_CLOSE int layout = open(unpacked ? unpacked : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = layout < 0 ? err_errno(err, "cannot open '%s'", path) : import_from(layout, source, images, info, err);
	if (unpacked)
		tree_remove(AT_FDCWD, unpacked);
	return rc;
}

// ---- verify, remove -------------------------------------------------------------------------------------------------

static int verify_disk(const char *dir, const struct image_info *info, struct err *err)
{
	char now[BLOB_DIGEST];
	AUTO_FREE char *disk = mem_printf("%s/" IMAGE_DISK, dir);
	AUTO_CLOSE int fd = open(disk, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(err, "cannot open '%s'", disk);
	if (blob_digest_of(fd, now, err) < 0)
		return -1;
	return strcmp(now, info->disk) == 0 ? 0
					    : err_set(err, ERR_FORMAT,
						      "the disk of the image '%s' is no longer the one that was made: "
						      "remove it and import it again",
						      info->digest);
}

int image_verify(const char *images, const char *name, struct image_info *info, struct err *err)
{
	char now[BLOB_DIGEST];
	uint64_t bytes, files;
	if (image_read(images, name, info, err) < 0)
		return -1;
	AUTO_FREE char *dir = directory_of(images, name);
	AUTO_FREE char *rootfs = mem_printf("%s/rootfs", dir);
	AUTO_CLOSE int fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "cannot open '%s'", rootfs);
	if (image_tree_digest(fd, now, &bytes, &files, err) < 0)
		return -1;
	if (strcmp(now, info->tree) == 0)
		return info->disk[0] ? verify_disk(dir, info, err) : 0;
	return err_set(err, ERR_FORMAT,
		       "the files of the image '%s' are no longer those that were unpacked: remove it and import it again",
		       name);
}

int image_remove(const char *images, const char *name, struct err *err)
{
	AUTO_CLOSE int claimed = -1;
	if (image_claim(images, name, &claimed, err) < 0)
		return -1;
	AUTO_FREE char *dir = directory_of(images, name);
	AUTO_FREE char *gone = mem_printf("%s.gone-%d", dir, (int)getpid());
	if (rename(dir, gone) < 0)
		return err_errno(err, "cannot remove '%s'", dir);
	tree_remove(AT_FDCWD, gone);
	return 0;
}
