// `coffer image`: the toolchain images of a worker.
#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include "image/image.h"
#include "settings/nearest.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_IMAGES = 1, OPT_REFERENCE };

static const char usage[] =
	"usage: coffer image import LAYOUT [--ref NAME|sha256:…]   an OCI image layout: a directory, or a tar archive of "
	"one\n"
	"       coffer image ls\n"
	"       coffer image verify [sha256:…]                     are the files still those that were unpacked?\n"
	"       coffer image rm sha256:…\n"
	"\n"
	"import checks every digest, unpacks the layers and prints the image's name: the digest of its manifest, which is "
	"what\n"
	"clients ask for (setting image), and what stands for the toolchain in keys, routes and audit rows.\n"
	"\n"
	"  --images DIR    where images are (the worker's setting images; else $COFFER_IMAGES, else "
	"/var/lib/coffer-images)\n";

static const struct option options[] = {{"images", required_argument, NULL, OPT_IMAGES},
					{"ref", required_argument, NULL, OPT_REFERENCE},
					{NULL, 0, NULL, 0}};

static const char *images_of(const struct verb_args *args)
{
	return verb_place(args->values[OPT_IMAGES], "COFFER_IMAGES", "/var/lib/coffer-images");
}

static int import(const struct verb_args *args, struct err *err)
{
	struct image_info info;
	if (args->n_words != 2)
		return verb_wrong("image", "import takes a layout");
	int rc = image_import(args->words[1], args->values[OPT_REFERENCE], images_of(args), &info, err);
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
static int each(const struct verb_args *args, int (*one)(const char *images, const char *name, struct err *err),
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
		if (one(images, name, err) < 0)
			status = verb_fail(err);
	}
	closedir(d);
	return status;
}

static int show(const char *images, const char *name, struct err *err)
{
	struct image_info info;
	if (image_read(images, name, &info, err) < 0)
		return -1;
	printf("%s  %6" PRIu64 " MiB  %7" PRIu64 " files  %s\n", info.digest, info.bytes >> 20, info.files, info.reference);
	return 0;
}

static int verify(const char *images, const char *name, struct err *err)
{
	struct image_info info;
	if (image_verify(images, name, &info, err) < 0)
		return -1;
	printf("%s is as it was unpacked\n", info.digest);
	return 0;
}

int verb_image(int argc, char **argv)
{
	static const char *const subs[] = {"import", "ls", "verify", "rm"};
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
		return verify(images_of(&args), args.words[1], &err) < 0 ? verb_fail(&err) : 0;
	if (strcmp(sub, "rm") == 0 && args.n_words == 2)
		return image_remove(images_of(&args), args.words[1], &err) < 0 ? verb_fail(&err) : 0;
	const char *near = nearest_word(sub, subs, COUNT_OF(subs));
	return verb_wrong("image", "'%s' takes other words, or is not there%s%s%s", sub, near ? "; did you mean '" : "",
			  near ? near : "", near ? "'?" : "");
}
