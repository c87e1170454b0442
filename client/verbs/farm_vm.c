#include "client/verbs/farm_vm.h"

#include "base/file.h"
#include "client/verbs/verbs.h"
#include "image/disk.h"
#include "worker/runtime/kvm_probe.h"
#include "worker/worker.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define BOOT "/boot"
#define MODULES "/lib/modules"
#define KERNEL "vmlinuz-"

// ---- the kernel -----------------------------------------------------------------------------------------------------

// Kernels for virtual machines are small, and have what a guest needs.
static bool is_better(const char *version, const char *than)
{
	bool is_cloud = strstr(version, "cloud") != NULL, was_cloud = than && strstr(than, "cloud");
	if (!than || is_cloud != was_cloud)
		return !than || is_cloud;
	return strverscmp(version, than) > 0;
}

static const char *installed_kernel(struct arena *a)
{
	const char *best = NULL;
	DIR *d = opendir(BOOT);
	for (const struct dirent *e; d && (e = readdir(d));) {
		const char *version = e->d_name + strlen(KERNEL);
		if (strncmp(e->d_name, KERNEL, strlen(KERNEL)) == 0 && is_better(version, best) &&
		    access(arena_printf(a, BOOT "/%s", e->d_name), R_OK) == 0 &&
		    access(arena_printf(a, MODULES "/%s/modules.dep", version), R_OK) == 0)
			best = arena_strdup(a, version);
	}
	if (d)
		closedir(d);
	return best;
}

static int find_kernel(struct farm_vm *vm, struct arena *a, struct err *err)
{
	if (vm->kernel) {
		vm->modules = vm->modules ? vm->modules : "";
		return access(vm->kernel, R_OK) == 0 ? 0 : err_errno(err, "cannot use the kernel '%s'", vm->kernel);
	}
	const char *version = installed_kernel(a);
	if (!version)
		return err_set(
			err, ERR_NOT_FOUND,
			"no kernel for guests is in " BOOT ", with its modules in " MODULES "\n"
			"coffer: install the one for virtual machines (Debian: linux-image-cloud-amd64), or name one: "
			"--vm-kernel FILE --vm-modules FOLDER");
	vm->kernel = arena_printf(a, BOOT "/" KERNEL "%s", version);
	vm->modules = vm->modules ? vm->modules : arena_printf(a, MODULES "/%s", version);
	return 0;
}

// ---- the image ------------------------------------------------------------------------------------------------------

#define HOW_TO_IMPORT "coffer: import one: coffer image import LAYOUT|REGISTRY/NAME:TAG --images '%s'"

static bool is_there(const char *images, const char *digest)
{
	struct image_info info;
	return image_read(images, digest, &info, NULL) == 0;
}

static int find_only_image(struct farm_vm *vm, struct arena *a, struct err *err)
{
	const char *found = NULL, *other = NULL;
	DIR *d = opendir(vm->images);
	for (const struct dirent *e; d && (e = readdir(d));) {
		const char *digest =
			strncmp(e->d_name, "sha256-", 7) == 0 ? arena_printf(a, "sha256:%s", e->d_name + 7) : NULL;
		if (!digest || !is_there(vm->images, digest))
			continue;
		other = found;
		found = digest;
		if (other)
			break;
	}
	if (d)
		closedir(d);
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "no image of a toolchain is in '%s'\n" HOW_TO_IMPORT, vm->images,
			       vm->images);
	if (other)
		return err_set(err, ERR_USAGE,
			       "several images are in '%s'\ncoffer: name one of 'coffer image ls': --image %s, for example",
			       vm->images, found);
	vm->image = found;
	return 0;
}

static int find_image(struct farm_vm *vm, struct arena *a, struct err *err)
{
	vm->images = verb_place(vm->images, "COFFER_IMAGES", "/var/lib/coffer-images");
	if (!vm->image)
		return find_only_image(vm, a, err);
	if (is_there(vm->images, vm->image))
		return 0;
	return err_set(err, ERR_NOT_FOUND, "the image '%.100s' is not in '%s'\n" HOW_TO_IMPORT, vm->image, vm->images,
		       vm->images);
}

// ---- all of it ------------------------------------------------------------------------------------------------------

static int find_programs(struct err *err)
{
	const struct {
		const char *program, *package;
	} needed[] = {{worker_options.defs[WORKER_vm_qemu].dflt, "qemu-system-x86"}, {DISK_MKFS, "erofs-utils"}};
	for (size_t i = 0; i < COUNT_OF(needed); i++)
		if (access(needed[i].program, X_OK) < 0)
			return err_set(err, ERR_NOT_FOUND,
				       "cannot run '%s', which microVMs need\ncoffer: install it (Debian: %s)",
				       needed[i].program, needed[i].package);
	return 0;
}

int farm_vm_find(struct farm_vm *vm, struct arena *a, struct err *err)
{
	struct kvm_probe probe = {0};
	if (find_programs(err) < 0 || find_kernel(vm, a, err) < 0 || find_image(vm, a, err) < 0)
		return -1;
	vm->is_emulated = kvm_probe(&probe, NULL) < 0 || !probe.is_usable;
	return 0;
}
