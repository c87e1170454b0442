#include "client/farm/cluster.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/path.h"
#include "client/farm/object.h"
#include "codec/zstd.h"
#include "compiler/arguments.h"
#include "compiler/parity.h"
#include "reapi/client/run.h"
#include "settings/credentials.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define TOOLCHAIN "toolchain" // the list, in the input root
enum {
	OTHER_TOOLCHAIN = 99, // exit status of the script; no compiler has it
	PROBE_MS = 15000,
	OWN_WORDS = 16, // beside the user's
	TOOLCHAIN_FILE_MOST = 1 << 30,
};

// BLAKE2b with 512 bits: b2sum of coreutils takes a third of the time of its sha256sum.
enum { FILE_DIGEST = 64 };
struct file_digest {
	uint8_t b[FILE_DIGEST];
};

struct toolchain { // a list as b2sum takes it
	struct buf text;
	struct reapi_digest digest;
};

struct cluster {
	struct endpoint *endpoint;
	char *url, *words; // of the properties
	struct reapi_run_property properties[RUN_PROPERTIES];
	size_t n_properties;
	bool is_pinned; // an image by its digest
	pthread_mutex_t lock;
	struct map toolchains; // identity -> struct toolchain
	struct map digests;    // path and digest as the client knows it -> struct file_digest
};

// ---- settings -----------------------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct reapi_run_property *)a)->name, ((const struct reapi_run_property *)b)->name);
}

int cluster_read_properties(char *words, struct reapi_run_property *list, size_t most, size_t *n, struct err *err)
{
	char *save = NULL;
	*n = 0;
	for (char *w = strtok_r(words, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		char *equals = strchr(w, '=');
		if (!equals || equals == w)
			return err_set(err, ERR_USAGE, "cluster_properties: '%.60s' is not NAME=VALUE", w);
		if (*n == most)
			return err_set(err, ERR_USAGE, "cluster_properties: more than %zu", most);
		*equals = '\0';
		list[(*n)++] = (struct reapi_run_property){w, equals + 1};
	}
	qsort(list, *n, sizeof *list, by_name);
	return 0;
}

static bool names_an_image(const struct reapi_run_property *p)
{
	const char *digest = strcmp(p->name, "container-image") == 0 ? strstr(p->value, "@sha256:") : NULL;
	struct sha256 unused;
	return digest && sha256_parse(digest + 8, &unused);
}

static const char *text_or_null(const struct settings *c, enum setting id)
{
	const char *text = setting_text(c, id);
	return *text ? text : NULL;
}

static int open_endpoint(struct cluster *c, const struct settings *config, struct err *err)
{
	struct credentials secrets;
	if (credentials_read(setting_text(config, SETTING_cluster_credentials), &secrets, err) < 0)
		return -1;
	struct endpoint_config e = {.url = c->url,
				    .ca = text_or_null(config, SETTING_cluster_ca),
				    .certificate = secrets.certificate,
				    .key = secrets.key,
				    .token = secrets.token};
	for (size_t i = 0; i < CREDENTIALS_HEADERS && i < ENDPOINT_HEADERS; i++)
		e.headers[i] = secrets.headers[i];
	int rc = endpoint_open(&e, &c->endpoint, err);
	credentials_release(&secrets);
	return rc;
}

int cluster_open(const struct settings *config, struct cluster **out, struct err *err)
{
	struct cluster *c = mem_alloc(sizeof *c);
	pthread_mutex_init(&c->lock, NULL);
	c->url = mem_strdup(setting_text(config, SETTING_cluster));
	c->words = mem_strdup(setting_text(config, SETTING_cluster_properties));
	if (cluster_read_properties(c->words, c->properties, RUN_PROPERTIES, &c->n_properties, err) < 0 ||
	    open_endpoint(c, config, err) < 0) {
		cluster_close(c);
		return -1;
	}
	for (size_t i = 0; i < c->n_properties; i++)
		c->is_pinned |= names_an_image(&c->properties[i]);
	*out = c;
	return 0;
}

void cluster_close(struct cluster *c)
{
	void *value;
	if (!c)
		return;
	endpoint_close(c->endpoint);
	for (size_t at = 0; map_next(&c->toolchains, &at, NULL, NULL, &value);) {
		buf_release(&((struct toolchain *)value)->text);
		free(value);
	}
	for (size_t at = 0; map_next(&c->digests, &at, NULL, NULL, &value);)
		free(value);
	map_release(&c->toolchains);
	map_release(&c->digests);
	pthread_mutex_destroy(&c->lock);
	free(c->words);
	free(c->url);
	free(c);
}

const char *cluster_name(const struct cluster *c)
{
	return c->url;
}

int cluster_check(struct cluster *c, int64_t until_ms, struct err *err)
{
	struct reapi_limits limits;
	if (endpoint_limits(c->endpoint, until_ms, &limits, err) < 0)
		return -1;
	return limits.executes ? 0 : err_set(err, ERR_PEER, "the cluster runs no actions with SHA-256: it is a cache only");
}

// ---- the toolchain ------------------------------------------------------------------------------------------------------

// Read once for each state of the file.
static int digest_of_file(struct cluster *c, const struct farm_file *f, struct file_digest *out, struct err *err)
{
	AUTO_BUF struct buf key = BUF_INIT, bytes = {.max = (size_t)TOOLCHAIN_FILE_MOST + 1};
	buf_add(&key, f->digest, sizeof f->digest);
	buf_adds(&key, f->path);
	pthread_mutex_lock(&c->lock);
	const struct file_digest *known = map_get(&c->digests, key.data, key.len);
	if (known)
		*out = *known;
	pthread_mutex_unlock(&c->lock);
	if (known)
		return 0;
	if (file_read(AT_FDCWD, f->path, TOOLCHAIN_FILE_MOST, &bytes, NULL, err) < 0)
		return -1;
	struct digest now = digest_of(bytes.data ? bytes.data : "", bytes.len);
	if (memcmp(now.b, f->digest, sizeof now.b) != 0)
		return err_set(err, ERR_IO, "'%s' has changed since the compiler was looked at", f->path);
	if (EVP_Digest(bytes.data ? bytes.data : "", bytes.len, out->b, NULL, EVP_blake2b512(), NULL) != 1)
		return err_set(err, ERR_IO, "OpenSSL has no BLAKE2b");
	struct file_digest *fresh = mem_alloc(sizeof *fresh);
	*fresh = *out;
	pthread_mutex_lock(&c->lock);
	free(map_put(&c->digests, key.data, key.len, fresh));
	pthread_mutex_unlock(&c->lock);
	return 0;
}

// What b2sum -c reads. 0: it can't be said, and *differs tells why.
static int list_toolchain(struct cluster *c, const struct farm_compiler *compiler, struct buf *list, const char **differs,
			  struct err *err)
{
	if (!compiler->n_files || compiler->path[0] != '/') {
		*differs = "view (not observed here)";
		return 0;
	}
	for (size_t i = 0; i < compiler->n_files; i++) {
		struct file_digest d;
		if (strpbrk(compiler->files[i].path, "\\\n\r")) {
			*differs = compiler->files[i].path;
			return 0;
		}
		if (digest_of_file(c, &compiler->files[i], &d, err) < 0)
			return -1;
		for (size_t k = 0; k < sizeof d.b; k++)
			buf_addf(list, "%02x", d.b[k]);
		buf_addf(list, "  %s\n", compiler->files[i].path);
	}
	return 1;
}

static void add_toolchain(struct reapi_run *r, const struct toolchain *t)
{
	r->files[r->n_files++] = (struct reapi_run_file){
		TOOLCHAIN, {.digest = t->digest, .p = t->text.data ? t->text.data : "", .is_packed = true}};
}

// The words before the compiler's own: it runs only where the toolchain is the one of the list.
static size_t add_check(const char **words)
{
	static const char *const check[] = {"/bin/sh", "-c",
					    "b2sum -c " TOOLCHAIN " >/dev/null 2>&1 || exit 99; exec \"$@\"", "sh"};
	for (size_t i = 0; i < COUNT_OF(check); i++)
		words[i] = check[i];
	return COUNT_OF(check);
}

static const char *compare_facts(const struct farm_compiler *ours, const struct reapi_run *r)
{
	struct toolchain_facts theirs;
	const struct buf *out = &r->outcome.out.bytes, *errs = &r->outcome.errs.bytes;
	if (r->outcome.exit_code == OTHER_TOOLCHAIN)
		return "programs or libraries";
	if (r->outcome.exit_code != 0 ||
	    toolchain_facts_of_text(out->data ? out->data : "", out->len, errs->data ? errs->data : "", &theirs, NULL) < 0)
		return "way to answer";
	if (strcmp(theirs.version, ours->version) != 0)
		return "version";
	if (strcmp(theirs.target, ours->target) != 0)
		return "target";
	return memcmp(theirs.defines.b, ours->defines, sizeof ours->defines) == 0 ? NULL : "built-in definitions";
}

static void keep_toolchain(struct cluster *c, const char *identity, struct toolchain *t)
{
	pthread_mutex_lock(&c->lock);
	if (!map_gets(&c->toolchains, identity)) {
		struct toolchain *kept = mem_alloc(sizeof *kept);
		*kept = *t;
		t->text = (struct buf)BUF_INIT;
		map_puts(&c->toolchains, identity, kept);
	}
	pthread_mutex_unlock(&c->lock);
}

int cluster_compare(struct cluster *c, const struct farm_compiler *compiler, char identity[FARM_IDENTITY],
		    const char **differs, struct err *err)
{
	struct toolchain t = {.text = BUF_INIT};
	const char *words[OWN_WORDS];
	struct reapi_run r = {.arguments = words,
			      .properties = c->properties,
			      .n_properties = c->n_properties,
			      .is_fresh = true,
			      .until_ms = clock_ms() + PROBE_MS};
	int rc = list_toolchain(c, compiler, &t.text, differs, err);
	if (rc == 1) {
		const char *const probe[] = {compiler->path, "-v", "-E", "-dM", "-x", compiler->language, "/dev/null"};
		t.digest = reapi_digest_of(t.text.data ? t.text.data : "", t.text.len);
		add_toolchain(&r, &t);
		r.until_ms = clock_ms() + PROBE_MS;
		r.n_arguments = add_check(words);
		for (size_t i = 0; i < COUNT_OF(probe); i++)
			words[r.n_arguments++] = probe[i];
		rc = run_action(c->endpoint, &r, err) == RUN_DONE ? 1 : -1;
	}
	if (rc == 1) {
		*differs = compare_facts(compiler, &r);
		rc = *differs ? 0 : 1;
	}
	if (rc == 1) {
		char hex[SHA256_HEX];
		sha256_hex(&t.digest.hash, hex);
		snprintf(identity, FARM_IDENTITY, "cluster:%s", hex);
		keep_toolchain(c, identity, &t);
	}
	run_release(&r);
	buf_release(&t.text);
	return rc;
}

// ---- a compile ----------------------------------------------------------------------------------------------------------

struct compiling {
	struct cluster *cluster;
	struct remote_call *call;
	struct arena arena;
	struct reapi_run run;
	struct buf text;                      // preprocessed, where the cluster takes no zstd
	enum remote_output made[RUN_OUTPUTS]; // what each of the run's outputs is
};

// As a worker of coffer's own has it (worker/command.c).
static void make_arguments(struct compiling *x, const struct arguments *found, const char *source, const char *output)
{
	const struct remote_call *c = x->call;
	const char **w = arena_alloc(&x->arena, (c->arguments->n + OWN_WORDS) * sizeof *w);
	size_t n = x->cluster->is_pinned ? 0 : add_check(w);
	w[n++] = c->compiler_path;
	for (unsigned i = 0; i < c->arguments->n; i++)
		w[n++] = c->arguments->arguments[i];
	if (found->is_clang && !found->has_compilation_dir)
		w[n++] = "-fdebug-compilation-dir=.";
	w[n++] = "-c";
	w[n++] = "-x";
	w[n++] = c->arguments->language;
	w[n++] = source;
	w[n++] = "-o";
	w[n++] = output;
	x->run.arguments = w;
	x->run.n_arguments = n;
}

static void add_output(struct compiling *x, enum remote_output what, const char *path)
{
	x->made[x->run.n_outputs] = what;
	x->run.outputs[x->run.n_outputs++].path = path;
}

// In the order of their names: x.dwo, x.o.
static void make_outputs(struct compiling *x, const char *output)
{
	if (x->call->output_name) {
		size_t n = strlen(output) - strlen(path_ext(output));
		add_output(x, REMOTE_DWO, arena_printf(&x->arena, "%.*s.dwo", (int)n, output));
	}
	add_output(x, REMOTE_OBJECT, output);
	if (x->run.n_outputs == 2 && strcmp(x->run.outputs[0].path, x->run.outputs[1].path) > 0) {
		struct reapi_output first = x->run.outputs[0];
		x->run.outputs[0] = x->run.outputs[1];
		x->run.outputs[1] = first;
		x->made[0] = REMOTE_OBJECT;
		x->made[1] = REMOTE_DWO;
	}
}

static int unpack_text(struct compiling *x, struct err *err)
{
	const struct preprocess *text = x->call->text;
	x->text = (struct buf){.max = text->size + 1};
	char *to = buf_room(&x->text, text->size);
	ZSTD_DCtx *z = zstd_take_unpacker();
	size_t n = to ? ZSTD_decompressDCtx(z, to, text->size, text->compressed.data, text->compressed.len) : 0;
	zstd_give_unpacker(z);
	if (!to || ZSTD_isError(n) || n != text->size)
		return err_set(err, ERR_IO, "the text does not unpack");
	buf_grew(&x->text, n);
	return 0;
}

static int make_source(struct compiling *x, const char *name, struct err *err)
{
	const struct preprocess *text = x->call->text;
	struct reapi_limits limits;
	struct reapi_blob blob = {.digest = {.size = (int64_t)text->size}};
	memcpy(blob.digest.hash.b, text->sha256, sizeof blob.digest.hash.b);
	if (endpoint_limits(x->cluster->endpoint, x->run.until_ms, &limits, err) < 0)
		return -1;
	if (limits.takes_zstd)
		blob.frame = &text->compressed;
	else if (unpack_text(x, err) < 0)
		return -1;
	blob.p = x->text.data;
	x->run.files[x->run.n_files++] = (struct reapi_run_file){name, blob};
	return 0;
}

static int prepare(struct compiling *x, const struct farm_seat *seat, struct err *err)
{
	const struct remote_call *c = x->call;
	const char *output = c->output_name ? c->output_name : "x.o";
	struct arguments found;
	const char *source = arena_printf(&x->arena, "source%s", c->arguments->suffix);
	pthread_mutex_lock(&x->cluster->lock);
	const struct toolchain *t = map_gets(&x->cluster->toolchains, seat->identity);
	pthread_mutex_unlock(&x->cluster->lock); // it stays until the end
	if (!t)
		return err_set(err, ERR_NOT_FOUND, "the cluster's toolchain is not known");
	// What a worker of coffer's own would refuse stays here.
	if (arguments_check(c->compiler, c->arguments->arguments, c->arguments->n, &found, err) < 0)
		return -1;
	if (found.has_lto || found.is_assembler_text || found.has_stack_usage)
		return err_set(err, ERR_USAGE, "it is no compile of preprocessed text into one object");
	make_arguments(x, &found, source, output);
	make_outputs(x, output);
	if (make_source(x, source, err) < 0) // "source…" is before "toolchain"
		return -1;
	if (!x->cluster->is_pinned)
		add_toolchain(&x->run, t);
	return 0;
}

static enum remote_outcome outcome_of(enum run_end end)
{
	switch (end) {
	case RUN_DONE:
		return REMOTE_DONE;
	case RUN_GIVEN_UP:
		return REMOTE_GIVEN_UP;
	case RUN_BUSY:
		return REMOTE_BUSY;
	case RUN_REFUSED:
		return REMOTE_REFUSED;
	case RUN_LIMIT:
		return REMOTE_LIMIT;
	case RUN_LIED:
		return REMOTE_LIED;
	case RUN_FAILED:
		break;
	}
	return REMOTE_FAILED;
}

static struct buf *made_as(struct compiling *x, enum remote_output what, bool *is_there)
{
	for (size_t i = 0; i < x->run.n_outputs; i++)
		if (x->made[i] == what) {
			*is_there = x->run.outputs[i].is_there;
			return &x->run.made[i];
		}
	return NULL;
}

// The outputs, in the order in which the call has them; each is an object of the target.
static enum remote_outcome take_outputs(struct compiling *x, struct err *err)
{
	struct remote_call *c = x->call;
	for (enum remote_output o = REMOTE_OBJECT; o <= REMOTE_DWO; o++) {
		bool is_there = false;
		struct buf *made = made_as(x, o, &is_there);
		if (!made)
			continue;
		if (!is_there) {
			err_set(err, ERR_FORMAT, "it has ended well and made no object");
			return REMOTE_LIED;
		}
		if (object_check(c->target, made->data ? made->data : "", made->len, err) < 0)
			return REMOTE_LIED;
		buf_add(&c->outputs, made->data, made->len);
		c->sizes[o] = made->len;
		c->digests[o] = sha256_of(made->data, made->len);
	}
	return REMOTE_DONE;
}

static enum remote_outcome take(struct compiling *x, struct err *err)
{
	struct remote_call *c = x->call;
	const struct reapi_outcome *o = &x->run.outcome;
	if (o->exit_code == OTHER_TOOLCHAIN && !x->cluster->is_pinned) {
		err_set(err, ERR_PEER, "the machine that ran it has another toolchain");
		return REMOTE_CHANGED;
	}
	c->exit_status = o->exit_code;
	buf_add(&c->out, o->out.bytes.data, o->out.bytes.len);
	buf_add(&c->errs, o->errs.bytes.data, o->errs.bytes.len);
	c->is_cached = o->is_cached;
	c->wall_us = o->wall_us;
	return o->exit_code == 0 ? take_outputs(x, err) : REMOTE_DONE;
}

enum remote_outcome cluster_compile(struct cluster *c, struct remote_call *call, struct farm_seat *seat, struct err *err)
{
	int64_t began = clock_ms();
	struct compiling x = {.cluster = c,
			      .call = call,
			      .arena = ARENA_INIT,
			      .run = {.properties = c->properties,
				      .n_properties = c->n_properties,
				      .max_output = call->max_output,
				      .until_ms = began + call->timeout_ms,
				      .go_on = call->go_on,
				      .ctx = call->ctx}};
	enum remote_outcome outcome = prepare(&x, seat, err) == 0 ? outcome_of(run_action(c->endpoint, &x.run, err))
				      : err->code == ERR_USAGE    ? REMOTE_REFUSED
								  : REMOTE_FAILED;
	call->sent = x.run.sent;
	if (outcome == REMOTE_DONE)
		outcome = take(&x, err);
	if (outcome == REMOTE_DONE && !call->is_cached)
		seat->took_ms = clock_ms() - began + 1;
	if (outcome == REMOTE_FAILED || outcome == REMOTE_LIED)
		snprintf(seat->why, sizeof seat->why, "%.150s", err->text);
	run_release(&x.run);
	buf_release(&x.text);
	arena_release(&x.arena);
	return outcome;
}
