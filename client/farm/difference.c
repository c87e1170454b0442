#include "client/farm/difference.h"

#include <string.h>

static const Coffer__V1__ToolchainFile *find_theirs(const Coffer__V1__DescribeReply *r, const char *path)
{
	for (size_t i = 0; i < r->n_files; i++)
		if (strcmp(r->files[i]->path, path) == 0)
			return r->files[i];
	return NULL;
}

bool farm_reads(const struct farm_compiler *c, const char *path)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (strcmp(c->files[i].path, path) == 0)
			return true;
	return false;
}

// cc1, cc1plus, cc1obj …: each language has its own.
static bool is_of_a_language(const char *path)
{
	const char *base = strrchr(path, '/');
	return base && strncmp(base, "/cc1", 4) == 0;
}

// The first file that one of the two reads and the other does not, or with another text. What an image has is what the
// operator says.
static const char *file_difference(const struct farm_compiler *c, const Coffer__V1__DescribeReply *r)
{
	if (strncmp(r->identity, "host:", 5) != 0)
		return NULL;
	if (!c->n_files || !r->n_files)
		return c->n_files ? "view (not observed there)" : "view (not observed here)";
	for (size_t i = 0; i < c->n_files; i++) {
		const struct farm_file *ours = &c->files[i];
		const Coffer__V1__ToolchainFile *theirs = find_theirs(r, ours->path);
		if (!theirs || theirs->digest.len != sizeof ours->digest ||
		    memcmp(ours->digest, theirs->digest.data, sizeof ours->digest) != 0)
			return ours->path;
	}
	for (size_t i = 0; i < r->n_files; i++)
		if (!r->files[i]->optional && !is_of_a_language(r->files[i]->path) && !farm_reads(c, r->files[i]->path))
			return r->files[i]->path;
	return NULL;
}

const char *farm_difference(int isolation, const struct farm_compiler *c, const Coffer__V1__DescribeReply *r)
{
	if (strcmp(r->version, c->version) != 0)
		return "version";
	if (strcmp(r->target, c->target) != 0)
		return "target";
	if (r->defines.len != sizeof c->defines || memcmp(r->defines.data, c->defines, sizeof c->defines) != 0)
		return "built-in definitions";
	if ((int)r->isolation < isolation)
		return "isolation";
	if (strlen(r->identity) >= FARM_IDENTITY || !*r->identity)
		return "identity";
	return file_difference(c, r);
}

bool farm_worker_reads(const Coffer__V1__DescribeReply *theirs, const char *path)
{
	return find_theirs(theirs, path) != NULL;
}
