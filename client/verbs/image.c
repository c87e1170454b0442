// `coffer image`: the toolchain images of a worker.
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include "base/value.h"
#include "image/disk.h"
#include "image/registry/pull.h"
#include "image/use.h"
#include "settings/nearest.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_IMAGES = 1,
	OPT_REFERENCE,
	OPT_CREDENTIALS,
	OPT_CA,
	OPT_TOKEN_SERVER,
	OPT_PLAIN_HTTP,
	OPT_NO_DISK,
	OPT_UNUSED,
	OPT_DRY_RUN,
	OPT_FOLDER
};

static const char usage[] =
	"usage: coffer image import LAYOUT [--ref NAME|sha256:…]   an OCI image layout: a directory, or a tar archive of "
	"one\n"
	"       coffer image import REGISTRY/NAME@sha256:…|NAME:TAG\n"
	"       coffer image ls                                    size, last use, where it came from\n"
	"       coffer image verify [sha256:…]                     are the files still those that were unpacked?\n"
	"       coffer image rm sha256:…\n"
	"       coffer image gc [--unused 30d] [--dry-run]         remove what no worker here has used for so long\n"
	"\n"
	"import checks every digest, unpacks the layers and prints the image's name: the digest of its manifest, which is "
	"what\n"
	"clients ask for (setting image), and what stands for the toolchain in keys, routes and audit rows. A tag is looked "
	"up once.\n"
	"\n"
	"  --images DIR         where images are (the worker's setting images; else $COFFER_IMAGES, else "
	"/var/lib/coffer-images)\n"
	"  --credentials FILE   for the registry: lines 'user = …' and 'password = …', or 'token = …'\n"
	"  --ca FILE            the certificates that vouch for the registry (PEM), instead of the system's\n"
	"  --token-server HOST  may be asked for tokens, with the credentials; else only the registry itself\n"
	"  --plain-http         take http:// from other machines, too; credentials are never sent there\n"
	"  --no-disk            make no disk of it (erofs), which only workers with runtime = microvm use\n"
	"  --folder DIR[:DIR]   the folders of the workers here, which tell when an image was used; else "
	"/var/lib/coffer-worker\n";

static const struct option options[] = {{"images", required_argument, NULL, OPT_IMAGES},
					{"ref", required_argument, NULL, OPT_REFERENCE},
					{"credentials", required_argument, NULL, OPT_CREDENTIALS},
					{"ca", required_argument, NULL, OPT_CA},
					{"token-server", required_argument, NULL, OPT_TOKEN_SERVER},
					{"plain-http", no_argument, NULL, OPT_PLAIN_HTTP},
					{"no-disk", no_argument, NULL, OPT_NO_DISK},
					{"unused", required_argument, NULL, OPT_UNUSED},
					{"dry-run", no_argument, NULL, OPT_DRY_RUN},
					{"folder", required_argument, NULL, OPT_FOLDER},
					{NULL, 0, NULL, 0}};

static const char *images_of(const struct verb_args *args)
{
	return verb_place(args->values[OPT_IMAGES], "COFFER_IMAGES", "/var/lib/coffer-images");
}

static const char *mkfs_of(const struct verb_args *args)
{
	return args->values[OPT_NO_DISK] || access(DISK_MKFS, X_OK) < 0 ? NULL : DISK_MKFS;
}

// The folders of the workers here, NULL-terminated, each followed by `below`.
static const char *const *folders_of(const struct verb_args *args, const char *below, struct arena *a)
{
	const char *at = verb_place(args->values[OPT_FOLDER], "COFFER_WORKER_FOLDER", "/var/lib/coffer-worker");
	const char **list = arena_alloc(a, (strlen(at) + 2) * sizeof *list);
	for (size_t n = 0; *at; n++) {
		size_t length = strcspn(at, ":");
		list[n] = arena_printf(a, "%.*s%s", (int)length, at, below);
		at += length + (at[length] == ':');
	}
	return list;
}

// A file of that name is meant, where there is one.
static bool is_in_registry(const char *word)
{
	return reference_is_one(word) && access(word, F_OK) < 0;
}

static int import_from_registry(const struct verb_args *args, struct image_info *info, struct err *err)
{
	struct registry_config config = {.credentials = args->values[OPT_CREDENTIALS],
					 .ca = args->values[OPT_CA],
					 .token_server = args->values[OPT_TOKEN_SERVER],
					 .may_be_plain = args->values[OPT_PLAIN_HTTP]};
	char pinned[REFERENCE_PINNED];
	struct registry_source source = {.reference = args->words[1], .mkfs = mkfs_of(args)};
	int rc = registry_import(&config, &source, images_of(args), pinned, info, err);
	if (pinned[0])
		fprintf(stderr, "coffer: '%s' is %s\n", args->words[1], pinned);
	return rc;
}

static int import_from_layout(const struct verb_args *args, struct image_info *info, struct err *err)
{
	struct image_source source = {
		.layout = args->words[1], .reference = args->values[OPT_REFERENCE], .mkfs = mkfs_of(args)};
	return image_import(&source, images_of(args), info, err);
}

static int import(const struct verb_args *args, struct err *err)
{
	struct image_info info;
	if (args->n_words != 2)
		return verb_wrong("image", "import takes a layout, or the name of an image in a registry");
	bool is_remote = is_in_registry(args->words[1]);
	for (int i = OPT_CREDENTIALS; i <= OPT_PLAIN_HTTP && !is_remote; i++)
		if (args->values[i])
			return verb_wrong("image", "--%s is for registries, and '%s' is none", options[i - 1].name,
					  args->words[1]);
	if (is_remote && args->values[OPT_REFERENCE])
		return verb_wrong("image", "--ref is for layouts: the name of an image in a registry has its tag");
	int rc = is_remote ? import_from_registry(args, &info, err) : import_from_layout(args, &info, err);
	if (rc < 0)
		return verb_fail(err);
	printf("%s\n", info.digest);
	fprintf(stderr, "coffer: %s: %" PRIu64 " files, %" PRIu64 " MiB, in '%s'\n", rc ? "it was here already" : "imported",
		info.files, info.bytes >> 20, images_of(args));
	if (info.left_out)
		fprintf(stderr, "coffer: %u devices and the like were left out\n", info.left_out);
	return 0;
}

// Calls `one` for each image; its first failure is the status.
static int each(const struct verb_args *args,
		int (*one)(const struct verb_args *args, const char *images, const char *name, struct err *err),
		struct err *err)
{
	const char *images = images_of(args);
	DIR *d = opendir(images);
	int status = 0;
	if (!d) {
		err_errno(err, "cannot open '%s' (--images DIR names another one)", images);
		return verb_fail(err);
	}
	for (struct dirent *e; (e = readdir(d));) {
		char name[BLOB_DIGEST];
		snprintf(name, sizeof name, "sha256:%.64s", strncmp(e->d_name, "sha256-", 7) == 0 ? e->d_name + 7 : "");
		if (strlen(e->d_name) != 71 || !blob_is_digest(name))
			continue;
		err_clear(err);
		if (one(args, images, name, err) < 0)
			status = verb_fail(err);
	}
	closedir(d);
	return status;
}

static int show(const struct verb_args *args, const char *images, const char *name, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct image_info info;
	if (image_read(images, name, &info, err) < 0)
		return -1;
	int64_t used = image_last_use(images, folders_of(args, "/" WORKER_USES, &a), name);
	printf("%s  %6" PRIu64 " MiB  %7" PRIu64 " files  used %s  %s\n", info.digest, (info.bytes + info.disk_bytes) >> 20,
	       info.files, format_date(&a, used), format_shown(&a, info.reference));
	return 0;
}

static int verify(const struct verb_args *args, const char *images, const char *name, struct err *err)
{
	(void)args;
	struct image_info info;
	if (image_verify(images, name, &info, err) < 0)
		return -1;
	printf("%s is as it was unpacked\n", info.digest);
	return 0;
}

struct told {
	bool is_dry;
	uint64_t bytes;
};

static void tell(void *ctx, const struct image_info *info, int64_t last_use, enum image_fate fate)
{
	static const char *const fates[] = {[IMAGE_KEPT] = "kept", [IMAGE_IN_USE] = "in use", [IMAGE_REMOVED] = "removed"};
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct told *t = ctx;
	uint64_t bytes = info->bytes + info->disk_bytes;
	if (fate == IMAGE_REMOVED)
		t->bytes += bytes;
	printf("%s  %-12s  %6" PRIu64 " MiB  used %s  %s\n", info->digest,
	       fate == IMAGE_REMOVED && t->is_dry ? "would go" : fates[fate], bytes >> 20, format_date(&a, last_use),
	       format_shown(&a, info->reference));
}

static int gc(const struct verb_args *args, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *unused = args->values[OPT_UNUSED] ? args->values[OPT_UNUSED] : "30d";
	int64_t unused_ms;
	if (value_parse(VALUE_DURATION, NULL, unused, &unused_ms) || unused_ms < 0)
		return verb_wrong("image", "--unused takes a duration, as 30d, and not '%s'", unused);
	struct told told = {.is_dry = args->values[OPT_DRY_RUN]};
	struct image_gc how = {.images = images_of(args),
			       .folders = folders_of(args, "", &a),
			       .unused_s = unused_ms / 1000,
			       .is_dry = told.is_dry,
			       .tell = tell,
			       .ctx = &told};
	int rc = image_gc(&how, err);
	fprintf(stderr, "coffer: %s %s\n", format_bytes(&a, told.bytes), told.is_dry ? "would be freed" : "freed");
	return rc < 0 ? verb_fail(err) : 0;
}

int verb_image(int argc, char **argv)
{
	static const char *const subs[] = {"import", "ls", "verify", "rm", "gc"};
	struct err err = ERR_INIT;
	struct verb_args args = {.usage = usage, .options = options, .min_words = 1, .max_words = 2};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	const char *sub = args.words[0];
	if (strcmp(sub, "import") == 0)
		return import(&args, &err);
	if (strcmp(sub, "ls") == 0 && args.n_words == 1)
		return each(&args, show, &err);
	if (strcmp(sub, "verify") == 0 && args.n_words == 1)
		return each(&args, verify, &err);
	if (strcmp(sub, "verify") == 0)
		return verify(&args, images_of(&args), args.words[1], &err) < 0 ? verb_fail(&err) : 0;
	if (strcmp(sub, "rm") == 0 && args.n_words == 2)
		return image_remove(images_of(&args), args.words[1], &err) < 0 ? verb_fail(&err) : 0;
	if (strcmp(sub, "gc") == 0 && args.n_words == 1)
		return gc(&args, &err);
	const char *near = nearest_word(sub, subs, COUNT_OF(subs));
	return verb_wrong("image", "'%s' takes other words, or is not there%s%s%s", sub, near ? "; did you mean '" : "",
			  near ? near : "", near ? "'?" : "");
}
