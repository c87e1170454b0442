#include "client/services/farms.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/path.h"
#include "compiler/parity.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FARMS_MAX = 64, OPEN_AGAIN_MS = 10000, ASK_MS = 20000, ASK_BYTES = 1 << 20, NATIVE_WORDS = 256 };

struct known_farm {
	struct digest settings;
	struct farm *farm; // NULL: it can't be used
	char why[256];
	int64_t tried_ms, since_s; // of clock_ms(); seconds since 1970
};

struct farms {
	pthread_mutex_t lock;
	struct known_farm known[FARMS_MAX];
	unsigned n;
	bool is_full;
	struct map facts;  // compiler's identity and language -> struct toolchain_facts
	struct map native; // compiler's identity and native words -> struct meaning
};

struct meaning { // of -march=native
	struct arena arena;
	const char *arguments[NATIVE_WORDS];
	unsigned n;
};

struct farms *farms_new(void)
{
	struct farms *fs = mem_alloc(sizeof *fs);
	pthread_mutex_init(&fs->lock, NULL);
	return fs;
}

static struct digest settings_of(const struct settings *c)
{
	static const enum setting matter[] = {SETTING_cluster,       SETTING_cluster_credentials,
					      SETTING_cluster_ca,    SETTING_cluster_properties,
					      SETTING_scheduler,     SETTING_scheduler_ca,
					      SETTING_certificate,   SETTING_certificate_key,
					      SETTING_token_file,    SETTING_tenant,
					      SETTING_image,         SETTING_isolation,
					      SETTING_worker,        SETTING_remote_jobs,
					      SETTING_remote_timeout};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	for (size_t i = 0; i < COUNT_OF(matter); i++)
		hasher_str(&h, setting_text(c, matter[i]));
	return hasher_end(&h);
}

// A file that was missing may be there now.
static void try_to_open(struct known_farm *k, const struct settings *config)
{
	struct err err = ERR_INIT;
	int64_t now = clock_ms();
	if (k->farm || (k->tried_ms && now - k->tried_ms < OPEN_AGAIN_MS))
		return;
	bool was_tried = k->tried_ms;
	k->tried_ms = now;
	if (farm_open(config, &k->farm, &err) == 0) {
		if (was_tried)
			log_info("the farm can be used now");
		return;
	}
	char why[sizeof k->why];
	snprintf(why, sizeof why, "%.250s", err.text);
	if (strcmp(why, k->why) == 0)
		return;
	memcpy(k->why, why, sizeof why);
	k->since_s = time(NULL);
	log_error("the farm is not used: %s", err.text);
}

struct farm *farms_find(struct farms *fs, const struct settings *config)
{
	if (!*setting_text(config, SETTING_scheduler) && !*setting_text(config, SETTING_worker) &&
	    !*setting_text(config, SETTING_cluster))
		return NULL;
	struct digest settings = settings_of(config);
	struct farm *farm = NULL;
	pthread_mutex_lock(&fs->lock);
	unsigned i = 0;
	while (i < fs->n && !digest_equal(&fs->known[i].settings, &settings))
		i++;
	if (i == fs->n && fs->n < FARMS_MAX)
		fs->known[fs->n++] = (struct known_farm){.settings = settings};
	if (i < fs->n) {
		try_to_open(&fs->known[i], config);
		farm = fs->known[i].farm;
	} else if (!fs->is_full) {
		fs->is_full = true;
		log_error("more than %d farms in one daemon: the next ones are not used; 'coffer stop' makes room",
			  FARMS_MAX);
	}
	pthread_mutex_unlock(&fs->lock);
	return farm;
}

static int ask(const struct compiler *compiler, const char *language, const char *const *env, struct toolchain_facts *facts)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *argv[] = {compiler->path, "-v", "-E", "-dM", "-x", language, "/dev/null", NULL};
	struct child c = {.argv = argv,
			  .envp = env_for_probe(&a, env),
			  .cwd_fd = -1,
			  .time_limit_ms = ASK_MS,
			  .max_output = ASK_BYTES};
	struct err err = ERR_INIT;
	int done = child_run(&c, &err);
	if (done == 0)
		done = toolchain_facts_of_text(c.out.data ? c.out.data : "", c.out.len, c.errs.data ? c.errs.data : "",
					       facts, &err);
	if (done < 0)
		log_warn("'%s' compiles on this machine only: %s", compiler->path, err.text);
	child_release(&c);
	return done;
}

static int fill(const struct compiler *compiler, const char *language, const struct toolchain_facts *facts,
		struct farm_compiler *out)
{
	*out = (struct farm_compiler){.name = path_base(compiler->path), .path = compiler->path, .language = language};
	snprintf(out->version, sizeof out->version, "%s", facts->version);
	snprintf(out->target, sizeof out->target, "%s", facts->target);
	memcpy(out->defines, facts->defines.b, sizeof out->defines);
	return out->version[0] ? 0 : -1;
}

int farms_ask_compiler(const struct compiler *compiler, const char *language, const char *const *env,
		       struct farm_compiler *out)
{
	struct toolchain_facts facts;
	return ask(compiler, language, env, &facts) < 0 ? -1 : fill(compiler, language, &facts, out);
}

int farms_compiler(struct farms *fs, const struct compiler *compiler, const char *language, const char *const *env,
		   struct farm_compiler *out)
{
	AUTO_BUF struct buf key = BUF_INIT;
	buf_add(&key, compiler->identity.b, sizeof compiler->identity.b);
	buf_adds(&key, language);
	pthread_mutex_lock(&fs->lock);
	struct toolchain_facts *facts = map_get(&fs->facts, key.data, key.len);
	if (!facts) {
		facts = mem_alloc(sizeof *facts);
		if (ask(compiler, language, env, facts) < 0)
			facts->version[0] = '\0';
		map_put(&fs->facts, key.data, key.len, facts);
	}
	int done = fill(compiler, language, facts, out);
	pthread_mutex_unlock(&fs->lock);
	return done;
}

static struct meaning *ask_native(const struct compiler *compiler, const char *const *env,
				  const struct travel_arguments *words)
{
	struct meaning *m = mem_alloc(sizeof *m);
	const char *argv[12] = {compiler->path};
	unsigned n = 1;
	for (unsigned i = 0; i < words->n_native; i++)
		argv[n++] = words->native[i];
	static const char *const tail[] = {"-E", "-v", "-x", "c", "/dev/null"};
	for (size_t i = 0; i < COUNT_OF(tail); i++)
		argv[n++] = tail[i];
	struct child c = {.argv = argv,
			  .envp = env_for_probe(&m->arena, env),
			  .cwd_fd = -1,
			  .time_limit_ms = ASK_MS,
			  .max_output = ASK_BYTES};
	if (child_run(&c, NULL) == 0 && c.status == 0 && c.errs.data)
		m->n = travel_native(c.errs.data, &m->arena, m->arguments, NATIVE_WORDS);
	child_release(&c);
	return m;
}

int farms_resolve_native(struct farms *fs, const struct compiler *compiler, const char *const *env, struct arena *a,
			 struct travel_arguments *words)
{
	AUTO_BUF struct buf key = BUF_INIT;
	buf_add(&key, compiler->identity.b, sizeof compiler->identity.b);
	for (unsigned i = 0; i < words->n_native; i++)
		buf_addf(&key, " %s", words->native[i]);
	pthread_mutex_lock(&fs->lock);
	struct meaning *m = map_get(&fs->native, key.data, key.len);
	if (!m) {
		m = ask_native(compiler, env, words);
		map_put(&fs->native, key.data, key.len, m);
	}
	pthread_mutex_unlock(&fs->lock);
	if (!m->n)
		return -1;
	travel_resolve_native(words, a, m->arguments, m->n);
	return 0;
}

static void add_unused(struct buf *out, const struct known_farm *k)
{
	buf_addc(out, '{');
	json_add_field(out, "why", k->why);
	json_add_field(out, "trouble", k->why);
	json_add_number(out, "trouble_since", k->since_s);
	json_add_name(out, "workers");
	buf_adds(out, "[]}");
}

void farms_status(struct farms *fs, struct buf *out)
{
	struct known_farm known[FARMS_MAX];
	pthread_mutex_lock(&fs->lock);
	unsigned n = fs->n;
	memcpy(known, fs->known, sizeof known); // farms stay until the end
	pthread_mutex_unlock(&fs->lock);
	for (unsigned i = 0; i < n; i++) {
		buf_adds(out, i ? "," : "");
		if (known[i].farm)
			farm_status(known[i].farm, out);
		else
			add_unused(out, &known[i]);
	}
}
