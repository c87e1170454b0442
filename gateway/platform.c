#include "gateway/platform.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

// "docker://registry/name@sha256:…", or the digest itself.
static int read_image(const char *value, struct platform_wish *wish, struct err *err)
{
	const char *digest = strstr(value, "sha256:");
	if (!digest || !token_is_image(digest))
		return err_set(err, ERR_USAGE, "container-image '%.200s' has no digest: NAME@sha256:… is what is taken",
			       value);
	snprintf(wish->image, sizeof wish->image, "%s", digest);
	return 0;
}

static int read_isolation(const char *value, struct platform_wish *wish, struct err *err)
{
	int isolation = isolation_of_name(value);
	if (isolation < 0)
		return err_set(err, ERR_USAGE, "minimum-isolation can't be '%.100s'; it takes process, sandbox, microvm",
			       value);
	// Never below what the tenant must have.
	if (isolation > wish->isolation)
		wish->isolation = isolation;
	return 0;
}

static int need(const char *name, const char *value, const char *const *any, struct err *err)
{
	for (; *any; any++)
		if (strcasecmp(value, *any) == 0)
			return 0;
	return err_set(err, ERR_USAGE, "no worker has %s '%.100s'", name, value);
}

static int read_one(const Reapi__Property *p, const char *const *ignored, struct platform_wish *wish, struct err *err)
{
	static const char *const linux_names[] = {"linux", NULL}, *const x86[] = {"x86-64", "x86_64", "amd64", NULL};
	if (strcmp(p->name, "container-image") == 0)
		return read_image(p->value, wish, err);
	if (strcmp(p->name, "minimum-isolation") == 0)
		return read_isolation(p->value, wish, err);
	if (strcmp(p->name, "OSFamily") == 0)
		return need(p->name, p->value, linux_names, err);
	if (strcmp(p->name, "ISA") == 0 || strcmp(p->name, "Arch") == 0)
		return need(p->name, p->value, x86, err);
	for (; ignored && *ignored; ignored++)
		if (strcmp(*ignored, p->name) == 0)
			return 0;
	return err_set(err, ERR_USAGE, "the platform property '%.100s' is not known here", p->name);
}

int platform_read(const Reapi__Platform *platform, const char *const *ignored, struct platform_wish *wish, struct err *err)
{
	for (size_t i = 0; platform && i < platform->n_properties; i++)
		if (read_one(platform->properties[i], ignored, wish, err) < 0)
			return -1;
	return 0;
}
