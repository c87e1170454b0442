#include "compiler/compiler.h"

#include "base/child.h"
#include "base/map.h"
#include "base/path.h"
#include "compiler/names.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 10000, PROBE_OUTPUT = 256 * 1024, REFUSED_S = 60 };

// A file the compiler runs or reads, as it was when the compiler was asked.
struct part {
	char *path;
	struct file_id id;
	struct digest digest;
	bool absent;    // must not exist: it would be found before the one that was
	bool directory; // nothing may be added to it or taken away
	struct part *next;
};

struct known_compiler {
	struct compiler compiler; // first: compiler_parts() finds the rest by it
	struct arena arena;
	struct part *parts;
	void *kept; // of the keeper; NULL: the parts are looked at
	const struct part_keeper *keeper;
	struct known_compiler *retired; // next in the list of replaced ones
};

// A program that did not answer as a compiler. It is left alone for a while.
struct probe_refusal {
	struct file_id id;
	enum reason reason;
	int64_t asked_ns;
};

struct compilers {
	struct digester digester;
	struct part_keeper keeper; // with zeros: there is none
	pthread_mutex_t lock;
	struct map by_call; // digest of path, name and environment -> struct known_compiler
	struct known_compiler *retired;
	struct map refused; // the same digest -> struct probe_refusal
};

static int digest_file(const struct compilers *cs, const char *path, struct digest *digest, struct stat *st, struct err *err)
{
	return cs->digester.digest(cs->digester.files, AT_FDCWD, path, digest, st, err);
}

const char *env_value(const char *const *env, const char *name)
{
	size_t n = strlen(name);
	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

const char *const *env_for_probe(struct arena *a, const char *const *env)
{
	size_t n = 0;
	while (env[n])
		n++;
	const char **out = arena_alloc(a, (n + 2) * sizeof *out);
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (strncmp(env[i], "LC_", 3) != 0 && strncmp(env[i], "LANG", 4) != 0 &&
		    strncmp(env[i], "DEPENDENCIES_OUTPUT", 19) != 0 && strncmp(env[i], "SUNPRO_", 7) != 0)
			out[k++] = env[i];
	out[k] = "LC_ALL=C";
	return out;
}

// ---- asking ---------------------------------------------------------------------------------------------------------

// What the user says of the name.
struct told {
	bool family_is_told;
	enum compiler_family family;
};

struct probe {
	struct compilers *cs;
	struct known_compiler *k;
	const char *const *env; // of the client
	struct told told;
	struct err *err;
};

static void add_part(struct probe *p, const char *path, bool absent)
{
	for (struct part *q = p->k->parts; q; q = q->next)
		if (strcmp(q->path, path) == 0)
			return;
	struct part *part = arena_alloc(&p->k->arena, sizeof *part);
	part->path = arena_strdup(&p->k->arena, path);
	part->absent = absent;
	part->next = p->k->parts;
	p->k->parts = part;
}

static void add_directory(struct probe *p, const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return;
	add_part(p, path, false);
	p->k->parts->directory = true;
	p->k->parts->id = file_id_of(&st);
}

// Runs `path word` (word may be NULL) and returns what it printed, or NULL.
static char *ask(struct probe *p, const char *path, const char *word, bool on_stderr)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *argv[] = {path, word, NULL};
	struct child c = {.argv = argv,
			  .envp = env_for_probe(&a, p->env),
			  .cwd_fd = -1,
			  .time_limit_ms = PROBE_MS,
			  .max_output = PROBE_OUTPUT};
	char *text = NULL;
	if (child_run(&c, p->err) == 0) {
		struct buf *b = on_stderr ? &c.errs : &c.out;
		text = arena_strndup(&p->k->arena, b->data ? b->data : "", b->len);
	}
	child_release(&c);
	return text;
}

// The shared libraries of a program, by the loader's own listing ("\tlibz.so.1 => /lib/.../libz.so.1 (0x...)").
static void add_libraries(struct probe *p, const char *program)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *argv[] = {program, NULL};
	const char *const *env = env_for_probe(&a, p->env);
	size_t n = 0;
	while (env[n])
		n++;
	const char **traced = arena_alloc(&a, (n + 2) * sizeof *traced);
	memcpy(traced, env, n * sizeof *traced);
	traced[n] = "LD_TRACE_LOADED_OBJECTS=1";
	struct child c = {.argv = argv, .envp = traced, .cwd_fd = -1, .time_limit_ms = PROBE_MS, .max_output = PROBE_OUTPUT};
	if (child_run(&c, NULL) == 0 && c.out.data) {
		char *save = NULL;
		for (char *line = strtok_r(c.out.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			char *from = strstr(line, "=> /");
			char *to = from ? strstr(from, " (") : NULL;
			if (!to)
				continue;
			*to = '\0';
			add_part(p, from + 3, false);
		}
	}
	child_release(&c);
}

static void add_program(struct probe *p, const char *path)
{
	add_part(p, path, false);
	add_libraries(p, path);
}

// A program that the driver finds in PATH: everything earlier in PATH must stay absent.
static char *find_in_path(struct probe *p, const char *name)
{
	const char *path = env_value(p->env, "PATH");
	for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");
		char *file = arena_printf(&p->k->arena, "%.*s/%s", (int)n, at, name);
		if (n && access(file, X_OK) == 0)
			return file;
		if (n)
			add_part(p, file, true);
		at += n + (at[n] == ':');
	}
	return NULL;
}

static const char *word_after(struct arena *a, const char *text, const char *before)
{
	const char *at = strstr(text, before);
	return at ? arena_strndup(a, at + strlen(before), strcspn(at + strlen(before), "\n")) : NULL;
}

static void add_gcc_programs(struct probe *p)
{
	static const char *const questions[] = {"-print-prog-name=cc1", "-print-prog-name=cc1plus",
						"-print-prog-name=cc1obj", "-print-prog-name=cc1objplus",
						"-print-prog-name=as"};
	struct known_compiler *k = p->k;
	char *as = NULL;
	for (size_t i = 0; i < COUNT_OF(questions); i++) {
		char *answer = ask(p, k->compiler.path, questions[i], false);
		if (!answer)
			continue;
		answer[strcspn(answer, "\n")] = '\0';
		bool is_bare = answer[0] && i + 1 == COUNT_OF(questions);
		char *file = answer[0] == '/' ? answer : is_bare ? find_in_path(p, answer) : NULL;
		if (file && access(file, X_OK) == 0)
			add_program(p, file);
		if (i + 1 == COUNT_OF(questions))
			as = file;
	}
	const char *banner = as ? ask(p, as, "--version", false) : NULL;
	k->compiler.gnu_as = banner && strncmp(banner, "GNU assembler", 13) == 0;
}

// clang reads these by itself where they exist (since version 16; earlier only by --config or a prefixed name).
static void add_clang_configurations(struct probe *p, const char *answer, const char *target)
{
	struct arena *a = &p->k->arena;
	for (const char *at = answer; (at = strstr(at, "Configuration file: ")); at++)
		add_part(p, word_after(a, at, "Configuration file: "), false);
	const char *dir = word_after(a, answer, "InstalledDir: ");
	if (!dir)
		return;
	const char *names[] = {"clang", "clang++", target ? target : "clang", p->k->compiler.name};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char *file = arena_printf(a, "%s/%s.cfg", dir, names[i]);
		if (access(file, F_OK) != 0)
			add_part(p, file, true);
	}
}

// clang takes the headers of the newest gcc that it finds ("Found candidate GCC installation: /usr/lib/gcc/…/12").
static void add_gcc_installations(struct probe *p, const char *answer)
{
	static const char found[] = "Found candidate GCC installation: ";
	for (const char *at = answer; (at = strstr(at, found)); at++)
		add_directory(p, path_dir(&p->k->arena, word_after(&p->k->arena, at, found)));
}

// What `cc -v` says tells the family, version and target. The line with the driver's own words is left out: it names paths.
static bool read_version(struct probe *p, const char *answer)
{
	struct compiler *c = &p->k->compiler;
	struct arena *a = &p->k->arena;
	const char *number = word_after(a, answer, "clang version ");
	c->family = number ? FAMILY_CLANG : FAMILY_GCC;
	if (!number && (strncmp(answer, "gcc version ", 12) == 0 || strstr(answer, "\ngcc version ")))
		number = word_after(a, answer, "gcc version ");
	if (!number && p->told.family_is_told) {
		c->family = p->told.family;
		number = "0"; // the oldest: nothing is taken for granted
	}
	if (!number)
		return false;
	c->version = (unsigned)strtoul(number, NULL, 10);
	const char *target = word_after(a, answer, "Target: ");
	c->description = arena_printf(a, "%s version %s for %s", c->family == FAMILY_CLANG ? "clang" : "gcc", number,
				      target ? target : "an unknown target");
	if (c->family == FAMILY_CLANG)
		add_clang_configurations(p, answer, target);
	if (c->family == FAMILY_CLANG)
		add_gcc_installations(p, answer);
	return true;
}

static bool is_cxx_name(const char *name)
{
	const char *plus = strstr(name, "++");
	return plus && (plus == name + 1 || strstr(name, "g++") || strstr(name, "clang++") || strstr(name, "c++"));
}

// clang behaves by its own name, of which it takes a version and a last word away: "x-clang-cl-14", "cl-x", "x++-y" are other
// drivers than "x".
static bool may_be_another_driver(const char *name)
{
	static const char *const others[] = {"cl", "cpp", "dxc", "flang", "lld", "tidy"};
	const char *plus = strstr(name, "++");
	for (const char *word = name; *word; word += strspn(word, "-.")) {
		size_t n = strcspn(word, "-."), end = n;
		while (end && isdigit((unsigned char)word[end - 1]))
			end--;
		for (size_t i = 0; i < COUNT_OF(others); i++) {
			size_t len = strlen(others[i]);
			if (end >= len && strncasecmp(word + end - len, others[i], len) == 0)
				return true;
		}
		word += n;
	}
	return plus && plus[2];
}

// "mycc" that is a link to gcc.
static bool leads_to_a_compiler(const char *path, const char *name)
{
	AUTO_FREE char *real = may_be_another_driver(name) ? NULL : realpath(path, NULL);
	return real && compiler_name_kind(path_base(real)) != NULL;
}

// Scripts and other launchers are refused: what they run can't be known from outside.
static enum reason check_driver(const char *path)
{
	struct stat st;
	bool is_file = stat(path, &st) == 0 && S_ISREG(st.st_mode); // opening a pipe would wait for its other end
	AUTO_FREE char *real = is_file ? realpath(path, NULL) : NULL;
	AUTO_CLOSE int fd = real ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	char magic[4];
	if (!real || fd < 0 || read(fd, magic, sizeof magic) != sizeof magic)
		return REASON_compiler_unknown;
	if (memcmp(magic, "\177ELF", 4) != 0)
		return REASON_compiler_script;
	return compiler_name_is_of_a_cache(path_base(real)) ? REASON_compiler_unknown : REASON_NONE;
}

static int digest_parts(struct probe *p, const char *answer)
{
	struct compiler *c = &p->k->compiler;
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer compiler 1");
	hasher_str(&h, c->name);
	hasher_str(&h, c->description);
	hasher_str(&h, answer);
	for (struct part *part = p->k->parts; part; part = part->next) {
		struct stat st;
		if (part->absent || part->directory)
			continue;
		if (digest_file(p->cs, part->path, &part->digest, &st, p->err) < 0)
			return -1;
		part->id = file_id_of(&st);
		hasher_str(&h, part->path);
		hasher_digest(&h, &part->digest);
	}
	c->identity = hasher_end(&h);
	return 0;
}

const struct compiler_part *compiler_parts(const struct compiler *c, struct arena *a, size_t *n)
{
	const struct known_compiler *k = (const struct known_compiler *)c; // its first member
	size_t most = 0;
	for (const struct part *part = k->parts; part; part = part->next)
		most++;
	struct compiler_part *parts = arena_alloc(a, (most + 1) * sizeof *parts);
	*n = 0;
	for (const struct part *part = k->parts; part; part = part->next)
		if (!part->absent && !part->directory)
			parts[(*n)++] = (struct compiler_part){part->path, part->digest};
	return parts;
}

static void known_free(struct known_compiler *k)
{
	if (!k)
		return;
	if (k->kept)
		k->keeper->release(k->kept);
	arena_release(&k->arena);
	free(k);
}

static void keep_parts(struct compilers *cs, struct known_compiler *k)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	size_t n = 0;
	for (const struct part *part = k->parts; part; part = part->next)
		n++;
	const char **names = arena_alloc(&a, (n + 1) * sizeof *names);
	bool *lists = arena_alloc(&a, n + 1);
	n = 0;
	for (const struct part *part = k->parts; part; part = part->next, n++) {
		names[n] = part->path;
		lists[n] = part->directory;
	}
	k->keeper = &cs->keeper;
	k->kept = cs->keeper.keep ? cs->keeper.keep(cs->keeper.ctx, names, lists, n) : NULL;
}

// gcc is what its file is; clang is what it is called.
static bool is_cxx_driver(const struct compiler *c)
{
	AUTO_FREE char *real = compiler_name_kind(c->name) ? NULL : realpath(c->path, NULL);
	size_t n = strlen(c->name);
	bool ends_so = n > 2 && strcmp(c->name + n - 2, "++") == 0;
	return is_cxx_name(c->name) ||
	       (real && (c->family == FAMILY_GCC ? is_cxx_name(path_base(real)) || ends_so : ends_so));
}

static struct known_compiler *probe(struct compilers *cs, const struct compiler_call *call, struct told told,
				    enum reason *reason, struct err *err)
{
	const char *path = call->path;
	struct known_compiler *k = mem_alloc(sizeof *k);
	struct probe p = {cs, k, call->env, told, err};
	k->compiler.path = arena_strdup(&k->arena, path);
	k->compiler.name = arena_strdup(&k->arena, path_base(call->argv0));
	const char *answer = ask(&p, path, "-v", true);
	*reason = REASON_compiler_probe;
	if (answer && !read_version(&p, answer)) {
		*reason = REASON_compiler_unknown;
	} else if (answer) {
		k->compiler.is_cxx = is_cxx_driver(&k->compiler);
		add_program(&p, path);
		if (k->compiler.family == FAMILY_GCC)
			add_gcc_programs(&p);
		if (digest_parts(&p, answer) == 0) {
			keep_parts(cs, k);
			*reason = REASON_NONE;
			return k;
		}
	}
	known_free(k);
	return NULL;
}

// ---- remembering ----------------------------------------------------------------------------------------------------

static bool is_part_unchanged(struct compilers *cs, const struct part *part)
{
	struct stat st;
	struct digest now;
	if (part->absent)
		return access(part->path, F_OK) != 0;
	if (stat(part->path, &st) < 0)
		return false;
	struct file_id id = file_id_of(&st);
	if (file_id_equal(&id, &part->id))
		return true;
	return !part->directory && digest_file(cs, part->path, &now, NULL, NULL) == 0 && digest_equal(&now, &part->digest);
}

static bool is_unchanged(struct compilers *cs, const struct known_compiler *k, uint64_t epoch)
{
	if (k->kept)
		return cs->keeper.holds(cs->keeper.ctx, k->kept, epoch);
	for (const struct part *part = k->parts; part; part = part->next)
		if (!is_part_unchanged(cs, part))
			return false;
	return true;
}

static struct digest call_key(const struct compiler_call *call, struct told told)
{
	static const char *const matters[] = {"PATH",
					      "COMPILER_PATH",
					      "GCC_EXEC_PREFIX",
					      "LD_PRELOAD",
					      "LD_LIBRARY_PATH",
					      "CLANG_CONFIG_FILE_SYSTEM_DIR",
					      "HOME",
					      "CLANG_CONFIG_FILE_USER_DIR"};
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, call->path);
	hasher_str(&h, path_base(call->argv0));
	hasher_u64(&h, told.family_is_told ? 1 + (uint64_t)told.family : 0);
	for (size_t i = 0; i < COUNT_OF(matters); i++)
		hasher_str(&h, env_value(call->env, matters[i]));
	return hasher_end(&h);
}

struct compilers *compilers_new(struct digester digester, const struct part_keeper *keeper)
{
	struct compilers *cs = mem_alloc(sizeof *cs);
	cs->digester = digester;
	if (keeper)
		cs->keeper = *keeper;
	pthread_mutex_init(&cs->lock, NULL);
	return cs;
}

void compilers_free(struct compilers *cs)
{
	if (!cs)
		return;
	size_t at = 0;
	void *k;
	while (map_next(&cs->by_call, &at, NULL, NULL, &k))
		known_free(k);
	map_release(&cs->by_call);
	void *r;
	for (at = 0; map_next(&cs->refused, &at, NULL, NULL, &r);)
		free(r);
	map_release(&cs->refused);
	for (struct known_compiler *old = cs->retired, *next; old; old = next) {
		next = old->retired;
		known_free(old);
	}
	pthread_mutex_destroy(&cs->lock);
	free(cs);
}

// Whether the same program has just been refused. Under the lock, as all about refusals.
static bool was_refused(struct compilers *cs, const struct digest *key, const struct file_id *id, enum reason *reason)
{
	const struct probe_refusal *r = map_get(&cs->refused, key, sizeof *key);
	int64_t age = r ? clock_now_ns() - r->asked_ns : 0;
	if (!r || !file_id_equal(&r->id, id) || age < 0 || age > REFUSED_S * INT64_C(1000000000))
		return false;
	*reason = r->reason;
	return true;
}

static void note_refusal(struct compilers *cs, const struct digest *key, const struct file_id *id, enum reason reason)
{
	struct probe_refusal *r = mem_alloc(sizeof *r);
	*r = (struct probe_refusal){*id, reason, clock_now_ns()};
	free(map_put(&cs->refused, key, sizeof *key, r));
}

// Asks under the lock: of many launchers that come at once, one asks and the others wait for it.
static struct known_compiler *find_anew(struct compilers *cs, const struct digest *key, const struct compiler_call *call,
					struct told told, enum reason *reason, struct err *err)
{
	struct stat st;
	if (stat(call->path, &st) < 0) {
		*reason = REASON_compiler_unknown;
		return NULL;
	}
	struct file_id id = file_id_of(&st);
	if (was_refused(cs, key, &id, reason))
		return NULL;
	struct known_compiler *k = probe(cs, call, told, reason, err);
	if (!k) {
		note_refusal(cs, key, &id, *reason);
		return NULL;
	}
	struct known_compiler *old = map_put(&cs->by_call, key, sizeof *key, k);
	if (old) {
		// Another thread may still read it.
		old->retired = cs->retired;
		cs->retired = old;
	}
	return k;
}

static struct told what_is_told(const struct compiler_call *call)
{
	bool is_clang = false, is_told = compiler_name_is_told(call->told, call->path, path_base(call->argv0), &is_clang);
	return (struct told){is_told, is_clang ? FAMILY_CLANG : FAMILY_GCC};
}

// Only such a program is asked what it is: others might do something.
static bool may_be_asked(const struct compiler_call *call, struct told told)
{
	const char *name = path_base(call->argv0);
	return told.family_is_told || compiler_name_kind(name) || leads_to_a_compiler(call->path, name);
}

const struct compiler *compilers_find(struct compilers *cs, const struct compiler_call *call, enum reason *reason,
				      struct err *err)
{
	struct told told = what_is_told(call);
	struct digest key = call_key(call, told);
	*reason = REASON_NONE;
	pthread_mutex_lock(&cs->lock);
	struct known_compiler *k = map_get(&cs->by_call, &key, sizeof key);
	pthread_mutex_unlock(&cs->lock);
	if (k && is_unchanged(cs, k, call->epoch))
		return &k->compiler;
	*reason = may_be_asked(call, told) ? check_driver(call->path) : REASON_compiler_unknown;
	if (*reason != REASON_NONE)
		return NULL;
	pthread_mutex_lock(&cs->lock);
	struct known_compiler *now = map_get(&cs->by_call, &key, sizeof key);
	if (now == k)
		now = find_anew(cs, &key, call, told, reason, err);
	pthread_mutex_unlock(&cs->lock);
	return now ? &now->compiler : NULL;
}
