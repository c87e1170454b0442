#include "worker/tree_source.h"

#include "base/map.h"
#include "base/path.h"
#include "codec/zstd.h"
#include "proto/guest.h"
#include "reapi/digest.h"

#include <string.h>

enum { CHUNK = 64 * 1024, WINDOW_LOG = 23 };

void tree_source_init(struct tree_source *s, struct results *results, const char *tenant, uint64_t max)
{
	*s = (struct tree_source){.results = results, .tenant = tenant, .max = max};
	s->listing.max = s->prefix.max = SOURCE_TREE_MAX_LISTING + 1;
}

void tree_source_release(struct tree_source *s)
{
	zstd_give_unpacker(TAKE(s->zstd));
	buf_release(&s->listing);
	buf_release(&s->prefix);
	buf_release(&s->file);
	buf_release(&s->ready);
	arena_release(&s->arena);
}

size_t tree_source_memory(const struct tree_source *s)
{
	return s->arena.total + s->listing.cap + s->prefix.cap + s->file.cap + s->ready.cap +
	       (s->zstd ? ZSTD_sizeof_DCtx(s->zstd) : 0);
}

// ---- a frame --------------------------------------------------------------------------------------------------------

static void begin_frame(struct tree_source *s)
{
	zstd_give_unpacker(s->zstd);
	s->zstd = zstd_take_unpacker();
	ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	s->is_whole = false;
}

typedef int (*take_fn)(struct tree_source *s, const char *p, size_t n, struct err *err);
static int take_frame(struct tree_source *s, const void *p, size_t n, take_fn take, struct err *err)
{
	char chunk[CHUNK];
	ZSTD_inBuffer in = {p, n, 0};
	bool is_full = false;
	while (in.pos < in.size || is_full) {
		if (s->is_whole)
			return err_set(err, ERR_FORMAT, "there are bytes behind a zstd frame");
		ZSTD_outBuffer out = {chunk, sizeof chunk, 0};
		size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
		if (ZSTD_isError(left))
			return err_set(err, ERR_FORMAT, "what came is no zstd frame: %s", ZSTD_getErrorName(left));
		s->is_whole = left == 0;
		is_full = left && out.pos == out.size;
		if (take(s, chunk, out.pos, err) < 0)
			return -1;
	}
	return 0;
}

// ---- the listing ----------------------------------------------------------------------------------------------------

static struct reapi_digest content_of(const struct source_node *file)
{
	return (struct reapi_digest){file->sha256, (int64_t)file->size};
}

int tree_source_begin(struct tree_source *s, const uint8_t *prefix, size_t n_prefix, uint64_t prefix_size, uint64_t size,
		      struct err *err)
{
	if (size > SOURCE_TREE_MAX_LISTING || prefix_size > SOURCE_TREE_MAX_LISTING)
		return err_set(err, ERR_LIMIT, "a listing of more than %d bytes", SOURCE_TREE_MAX_LISTING);
	buf_clear(&s->listing);
	buf_clear(&s->prefix);
	begin_frame(s);
	if (n_prefix == 0)
		return 1;
	struct reapi_digest d = {.size = (int64_t)prefix_size};
	if (n_prefix != sizeof d.hash.b)
		return err_set(err, ERR_FORMAT, "the digest of a prefix has %zu bytes", n_prefix);
	memcpy(d.hash.b, prefix, n_prefix);
	int found = results_get_content(s->results, s->tenant, &d, &s->prefix, err);
	if (found == 1)
		ZSTD_DCtx_refPrefix(s->zstd, s->prefix.data, s->prefix.len);
	return found;
}

static int add_to_listing(struct tree_source *s, const char *p, size_t n, struct err *err)
{
	buf_add(&s->listing, p, n);
	return buf_check(&s->listing, "a listing", err);
}

int tree_source_take_listing(struct tree_source *s, const void *p, size_t n, struct err *err)
{
	return take_frame(s, p, n, add_to_listing, err);
}

static int find_wanted(struct tree_source *s, struct err *err)
{
	struct map seen = MAP_INIT;
	int rc = 0;
	s->wanted = arena_alloc(&s->arena, (s->tree.n_files + 1) * sizeof *s->wanted);
	for (unsigned i = 0; i < s->tree.n_files && rc == 0; i++) {
		const struct source_node *file = s->tree.files[i];
		struct reapi_digest d = content_of(file);
		if (file->size > s->max || s->bytes + file->size > s->max)
			rc = err_set(err, ERR_LIMIT, "the files have more than the %llu bytes that are taken here",
				     (unsigned long long)s->max);
		s->bytes += file->size;
		if (rc < 0 || file->size == 0 || map_put(&seen, &file->sha256, sizeof file->sha256, s) ||
		    results_has_content(s->results, s->tenant, &d))
			continue;
		s->wanted[s->n_wanted++] = i;
		s->wanted_bytes += file->size;
	}
	map_release(&seen);
	return rc;
}

void tree_source_path(const struct tree_source *s, const struct source_node *n, struct buf *path)
{
	size_t length = 0;
	for (const struct source_node *up = n; up != &s->tree.top; up = up->parent)
		length += 1 + strlen(up->name);
	char *at = buf_room(path, length);
	if (!at)
		return;
	at += length;
	for (const struct source_node *up = n; up != &s->tree.top; up = up->parent) {
		size_t part = strlen(up->name);
		memcpy(at -= part, up->name, part);
		*--at = '/';
	}
	buf_grew(path, length);
}

const uint8_t *tree_source_file(const void *source, size_t i, struct buf *path)
{
	const struct tree_source *s = source;
	tree_source_path(s, s->tree.files[i], path);
	return s->tree.files[i]->sha256.b;
}

// The outermost directories that come from the tree alone.
static int find_whole(struct tree_source *s, const struct source_node *directory, struct err *err)
{
	for (const struct source_node *at = directory->first; at; at = at->next) {
		if (at->kind != SOURCE_DIRECTORY)
			continue;
		if (!at->is_whole && find_whole(s, at, err) < 0)
			return -1;
		if (!at->is_whole)
			continue;
		if (s->n_whole == TREE_SOURCE_MAX_WHOLE)
			return err_set(err, ERR_LIMIT, "more than %d directories beside the toolchain",
				       TREE_SOURCE_MAX_WHOLE);
		AUTO_BUF struct buf path = BUF_INIT;
		tree_source_path(s, at, &path);
		s->whole[s->n_whole++] = arena_strdup(&s->arena, path.data + 1);
	}
	return 0;
}

// The listing is whole, and s->digest is its digest.
static int read_listing(struct tree_source *s, struct err *err)
{
	const char *p = s->listing.data ? s->listing.data : "";
	s->whole = arena_alloc(&s->arena, TREE_SOURCE_MAX_WHOLE * sizeof *s->whole);
	if (source_tree_decode(&s->tree, &s->arena, p, s->listing.len, err) < 0)
		return -1;
	return find_whole(s, &s->tree.top, err) < 0 ? -1 : find_wanted(s, err);
}

int tree_source_end_listing(struct tree_source *s, struct err *err)
{
	if (!s->is_whole)
		return err_set(err, ERR_FORMAT, "the listing's zstd frame is not whole");
	const char *p = s->listing.data ? s->listing.data : "";
	s->digest = sha256_of(p, s->listing.len);
	if (read_listing(s, err) < 0)
		return -1;
	// The prefix of the next one, which comes whole where this one could not be kept.
	struct reapi_digest d = {s->digest, (int64_t)s->listing.len};
	if (!results_has_content(s->results, s->tenant, &d))
		results_put_content(s->results, s->tenant, &d, p, s->listing.len, NULL);
	return 0;
}

int tree_source_load(struct tree_source *s, const struct sha256 *listing, struct err *err)
{
	struct reapi_digest d = {*listing, -1};
	buf_clear(&s->listing);
	int found = results_get_content(s->results, s->tenant, &d, &s->listing, err);
	if (found != 1)
		return found;
	s->digest = *listing;
	return read_listing(s, err) < 0 ? -1 : 1;
}

static int find_directory(struct tree_source *s, const char *path, struct err *err)
{
	const struct source_node *d = source_tree_resolve(&s->tree, path);
	if (d && d->kind == SOURCE_DIRECTORY)
		return 0;
	return err_set(err, ERR_FORMAT, "the tree has no directory '%.200s'", path);
}

int tree_source_check_places(struct tree_source *s, const Coffer__V1__CompileHeader *h, struct err *err)
{
	int rc = find_directory(s, h->tree->directory, err);
	for (size_t i = 0; i < h->n_outputs && rc == 0; i++) {
		const char *directory = path_dir(&s->arena, h->outputs[i]->name);
		if (strcmp(directory, GUEST_SCRATCH) != 0)
			rc = find_directory(s, directory, err);
	}
	return rc;
}

// ---- files ----------------------------------------------------------------------------------------------------------

bool tree_source_has_all(const struct tree_source *s)
{
	return s->next == s->n_wanted;
}

static int keep_file(struct tree_source *s, const struct source_node *file, struct err *err)
{
	struct reapi_digest d = content_of(file);
	struct sha256 is = sha256_of(s->file.data, s->file.len);
	if (!sha256_equal(&is, &file->sha256))
		return err_set(err, ERR_FORMAT, "the file '%.200s' is not what its digest says", file->name);
	int rc = results_put_content(s->results, s->tenant, &d, s->file.data, s->file.len, err);
	buf_clear(&s->file);
	s->next++;
	return rc;
}

static int add_to_files(struct tree_source *s, const char *p, size_t n, struct err *err)
{
	while (n) {
		if (tree_source_has_all(s))
			return err_set(err, ERR_FORMAT, "more files came than were asked for");
		const struct source_node *file = s->tree.files[s->wanted[s->next]];
		size_t left = (size_t)file->size - s->file.len, part = n < left ? n : left;
		s->file.max = (size_t)file->size + 1;
		buf_add(&s->file, p, part);
		p += part;
		n -= part;
		if (s->file.len == file->size && keep_file(s, file, err) < 0)
			return -1;
	}
	return 0;
}

int tree_source_take_files(struct tree_source *s, const void *p, size_t n, struct err *err)
{
	if (!s->next && !s->file.len && s->is_whole)
		begin_frame(s);
	return take_frame(s, p, n, add_to_files, err);
}

// ---- for the agent --------------------------------------------------------------------------------------------------

void tree_source_job(struct tree_source *s, const Coffer__V1__CompileHeader *h, struct job_tree *job)
{
	struct arena *a = &s->arena;
	const char **writable = arena_alloc(a, (h->n_outputs + 1) * sizeof *writable);
	size_t n = 0;
	for (size_t i = 0; i < h->n_outputs; i++) {
		const char *directory = path_dir(a, h->outputs[i]->name + 1);
		bool is_known = strcmp(directory, ".") == 0 || strcmp(directory, &GUEST_SCRATCH[1]) == 0;
		for (size_t k = 0; k < n && !is_known; k++)
			is_known = strcmp(writable[k], directory) == 0;
		if (!is_known)
			writable[n++] = directory;
	}
	*job = (struct job_tree){.directory = h->tree->directory + 1,
				 .environment = (const char *const *)(uintptr_t)h->tree->environment,
				 .n_environment = h->tree->n_environment,
				 .is_root = true,
				 .writable = writable,
				 .n_writable = n,
				 .whole = s->whole,
				 .n_whole = s->n_whole,
				 .absent = s->tree.absent,
				 .n_absent = s->tree.n_absent};
}

static int add_node(struct tree_source *s, const struct source_node *n, struct err *err)
{
	static const char kinds[] = {[SOURCE_DIRECTORY] = 'D', [SOURCE_FILE] = 'F', [SOURCE_LINK] = 'L'};
	buf_addc(&s->ready, kinds[n->kind]);
	buf_add_str(&s->ready, n->name);
	if (n->kind == SOURCE_LINK)
		buf_add_str(&s->ready, n->target);
	if (n->kind != SOURCE_FILE)
		return 0;
	struct reapi_digest d = content_of(n);
	buf_add_u64(&s->ready, n->size);
	int found = n->size ? results_get_content(s->results, s->tenant, &d, &s->ready, err) : 1;
	s->has_lost |= found == 0;
	if (found == 0)
		return err_set(err, ERR_IO, "an input has gone from this worker's disk meanwhile");
	return found < 0 ? -1 : buf_check(&s->ready, "an input", err);
}

// The next entry; depth first.
static int step(struct tree_source *s, struct err *err)
{
	const struct source_node *top = &s->tree.top;
	if (!s->has_begun) {
		s->has_begun = true;
		s->at = top->first;
	}
	if (!s->at) {
		s->is_done = true;
		return 0;
	}
	if (add_node(s, s->at, err) < 0)
		return -1;
	if (s->at->kind == SOURCE_DIRECTORY && s->at->first) {
		s->at = s->at->first;
		return 0;
	}
	if (s->at->kind == SOURCE_DIRECTORY)
		buf_addc(&s->ready, 'U');
	while (!s->at->next && s->at->parent != top) {
		s->at = s->at->parent;
		buf_addc(&s->ready, 'U');
	}
	s->at = s->at->next;
	return 0;
}

void tree_source_rewind(struct tree_source *s)
{
	s->has_begun = s->is_done = s->has_lost = false;
	s->taken = 0;
	buf_clear(&s->ready);
}

ssize_t tree_source_read(void *source, void *to, size_t room, struct err *err)
{
	struct tree_source *s = source;
	if (s->taken == s->ready.len) {
		buf_clear(&s->ready);
		s->taken = 0;
		while (!s->is_done && s->ready.len < room)
			if (step(s, err) < 0)
				return -1;
	}
	size_t n = s->ready.len - s->taken < room ? s->ready.len - s->taken : room;
	if (n)
		memcpy(to, s->ready.data + s->taken, n);
	s->taken += n;
	return (ssize_t)n;
}
