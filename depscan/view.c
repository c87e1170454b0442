#include "depscan/view.h"

#include "base/map.h"
#include "base/path.h"
#include "base/text.h"
#include "base/tree.h"
#include "compiler/names.h"
#include "observe/observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORMAT = 2, OBSERVE_MS = 20000, ATTEMPTS = 3, REFUSED_S = 60 };

struct view {
	atomic_uint refs;
	struct digest digest;
	struct findings *findings; // NULL: refused, or by_cwd
	bool by_cwd;               // it looks at the working directory, which is part of the question then
	struct err why;            // refused
	int64_t asked_ns;
};

struct views {
	struct files *files;
	struct watch *watch;
	struct store *store;
	char *scratch;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct map known;  // digest of the question -> struct view
	struct map asking; // the same, while somebody observes
};

struct views *views_new(struct files *files, struct watch *watch, struct store *store, const char *scratch)
{
	struct views *vs = mem_alloc(sizeof *vs);
	vs->files = files;
	vs->watch = watch;
	vs->store = store;
	vs->scratch = mem_strdup(scratch ? scratch : "/tmp");
	pthread_mutex_init(&vs->lock, NULL);
	pthread_cond_init(&vs->answered, NULL);
	return vs;
}

void views_remove_leftovers(const char *scratch)
{
	DIR *d = opendir(scratch);
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (strncmp(e->d_name, "observe.", 8) == 0 && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode) && clock_now_ns() - file_id_of(&st).mtime_ns > INT64_C(3600000000000))
			tree_remove(dirfd(d), e->d_name);
	}
	closedir(d);
}

static struct view *view_new(void)
{
	struct view *v = mem_alloc(sizeof *v);
	atomic_init(&v->refs, 1);
	return v;
}

static struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	findings_unref(v->findings);
	free(v);
}

static void forget_all(struct views *vs)
{
	size_t at = 0;
	void *v;
	while (map_next(&vs->known, &at, NULL, NULL, &v))
		view_unref(v);
	map_release(&vs->known);
	vs->known = (struct map)MAP_INIT;
}

void views_free(struct views *vs)
{
	if (!vs)
		return;
	forget_all(vs);
	map_release(&vs->asking);
	pthread_cond_destroy(&vs->answered);
	pthread_mutex_destroy(&vs->lock);
	free(vs->scratch);
	free(vs);
}

const struct digest *view_digest(const struct view *v)
{
	return &v->digest;
}

const struct findings *view_findings(const struct view *v)
{
	return v->findings;
}

static bool makes_the_compiler(const struct finding *found)
{
	static const char *const beside[] = {"/etc/", "/usr/lib/os-release", "/usr/lib/locale/", "/usr/share/locale/"};
	if (found->kind != FOUND_CONTENT || strcmp(path_ext(found->path), ".h") == 0)
		return false;
	for (size_t i = 0; i < COUNT_OF(beside); i++)
		if (strncmp(found->path, beside[i], strlen(beside[i])) == 0)
			// Configuration files of compilers count wherever they are.
			return strcmp(path_ext(found->path), ".cfg") == 0;
	return true;
}

const struct view_text *view_texts(const struct view *v, struct arena *a, size_t *n)
{
	uint32_t all;
	const struct finding *list = findings_list(v->findings, &all);
	struct view_text *texts = arena_alloc(a, (all + 1) * sizeof *texts);
	*n = 0;
	for (uint32_t i = 0; i < all; i++)
		if (makes_the_compiler(&list[i]))
			texts[(*n)++] = (struct view_text){list[i].path, list[i].digest};
	return texts;
}

bool view_holds(struct views *vs, struct view *v, uint64_t epoch, const char **culprit)
{
	return !v || findings_hold(v->findings, vs->files, vs->watch, epoch, culprit);
}

// ---- a compiler's parts -----------------------------------------------------------------------------------------------

static void *keep(void *views, const char *const *names, const bool *lists, size_t n)
{
	struct views *vs = views;
	struct findings *f = findings_new();
	for (size_t i = 0; i < n; i++)
		if (findings_add(f, vs->files, names[i], lists[i] ? WANT_LIST : WANT_CONTENT, NULL) < 0) {
			findings_unref(f);
			return NULL;
		}
	findings_seal(f);
	return f;
}

static bool kept_holds(void *views, void *kept, uint64_t epoch)
{
	struct views *vs = views;
	return findings_hold(kept, vs->files, vs->watch, epoch, NULL);
}

static void kept_release(void *kept)
{
	findings_unref(kept);
}

struct part_keeper views_part_keeper(struct views *vs)
{
	return (struct part_keeper){keep, kept_holds, kept_release, vs};
}

// ---- the question ---------------------------------------------------------------------------------------------------

// What the unit's own text and headers are about, and what names its outputs. A value goes with its option.
static bool is_of_the_unit(const char *t, bool directories_count)
{
	static const char *const whole[] = {"--", "--define-macro", "--undefine-macro"};
	static const char *const begun[] = {"-M", "-D", "-U", "-x", "--language", "--define-macro=", "--undefine-macro="};
	static const char *const directories[] = {
		"-I", "-iquote", "-isystem", "-idirafter", "--include-directory", "--include-directory-after"};
	for (size_t i = 0; i < COUNT_OF(whole); i++)
		if (strcmp(t, whole[i]) == 0)
			return true;
	for (size_t i = 0; i < COUNT_OF(begun); i++)
		if (text_begins(t, begun[i]))
			return true;
	for (size_t i = 0; i < COUNT_OF(directories) && !directories_count; i++)
		if (text_begins(t, directories[i]))
			return true;
	// -Wa, -Wl and -Wp hand words on.
	return text_begins(t, "-W") && !(t[2] && t[3] == ',');
}

static bool is_specs(const char *t)
{
	return text_begins(t, "-specs") || text_begins(t, "--specs");
}

// The words that may steer the driver: all that are not known to be about something else.
static const char **steering_arguments(struct arena *a, const struct cmdline *l, unsigned *count)
{
	const char **words = arena_alloc(a, (l->n_arguments + 1) * sizeof *words);
	unsigned n = 0;
	// A directory of -I that is missing is a warning, or an error, then.
	bool directories_count = false;
	for (unsigned i = 0; i < l->n_arguments; i++)
		directories_count |= strstr(l->arguments[i].text, "missing-include-dirs") != NULL ||
				     strcmp(l->arguments[i].text, "-Weverything") == 0;
	for (unsigned i = 0, next; i < l->n_arguments; i = next) {
		bool asks = i != l->source_argument && !is_of_the_unit(l->arguments[i].text, directories_count),
		     specs = is_specs(l->arguments[i].text);
		for (next = i; next == i || (next < l->n_arguments && l->arguments[next].is_value); next++) {
			enum argument_role role = l->arguments[next].role;
			asks &= role == ARGUMENT_KEY || role == ARGUMENT_SEARCH || (specs && role == ARGUMENT_KEY_PATH);
		}
		for (unsigned k = i; asks && k < next; k++)
			words[n++] = l->arguments[k].text;
	}
	*count = n;
	return words;
}

// Variables that can make a compiler look elsewhere.
static const char *const steering_variables[] = {
#define STEERS_KEY(name) name,
#define STEERS_LOOK(name) name,
#define STEERS_MESSAGES(name)
#define STEERS_TERMINAL(name)
#define STEERS_REFUSED(name)
#define STEERS_TRAVELS(name)
#define STEERS_IDLE(name)
#define VARIABLE(role, name) STEERS_##role(name)
#include "base/compiler_variables.def"
#undef VARIABLE
};

static struct digest question_key(const struct view_query *q, const char *const *words, unsigned n, bool by_cwd)
{
	AUTO_HASHER struct hasher h;
	hasher_init(&h);
	hasher_str(&h, "coffer toolchain 1");
	hasher_str(&h, q->compiler->path);
	hasher_str(&h, q->argv0);
	hasher_u64(&h, q->line->lang);
	hasher_u64(&h, n);
	for (unsigned i = 0; i < n; i++)
		hasher_str(&h, words[i]);
	for (size_t i = 0; i < COUNT_OF(steering_variables); i++)
		hasher_str(&h, env_value(q->env, steering_variables[i]));
	hasher_str(&h, q->root);
	hasher_str(&h, by_cwd ? q->cwd : NULL);
	// clang looks for what a precompiled header has to hold besides.
	if (q->line->makes_pch)
		hasher_str(&h, "header");
	return hasher_end(&h);
}

// ---- observing ------------------------------------------------------------------------------------------------------

// A directory for one observed compile: "w" to work in, "t" for temporary files, the source and the output beside them.
struct view_scratch {
	char *dir, *work, *source, *output;
	int work_fd;
};

static void scratch_release(struct view_scratch *s)
{
	mem_close_cleanup(&s->work_fd);
	if (s->dir)
		tree_remove(AT_FDCWD, s->dir);
	free(s->dir);
	free(s->work);
	free(s->source);
	free(s->output);
}

static int scratch_make(struct view_scratch *s, const char *parent, const struct cmdline *l, struct err *err)
{
	// A declaration, since an empty text is an error for some.
	static const char text[] = "extern int coffer_looks;\n";
	bool is_assembler = l->lang == LANG_ASM || l->lang == LANG_ASM_CPP;
	const char *parents[] = {parent, "/tmp"};
	for (size_t i = 0; i < COUNT_OF(parents) && !s->dir; i++) {
		AUTO_FREE char *name = mem_printf("%s/observe.XXXXXX", parents[i]);
		if (mkdtemp(name))
			s->dir = realpath(name, NULL);
	}
	if (!s->dir)
		return err_errno(err, "cannot make a directory in '%s'", parent);
	s->work = mem_printf("%s/w", s->dir);
	s->source = mem_printf("%s/u%s", s->dir, is_assembler ? ".s" : ".c");
	s->output = mem_printf("%s/u.%s", s->dir, l->assembles ? "o" : "out");
	AUTO_FREE char *temp = mem_printf("%s/t", s->dir);
	if (mkdir(s->work, 0700) < 0 || mkdir(temp, 0700) < 0)
		return err_errno(err, "cannot make a directory in '%s'", s->dir);
	s->work_fd = open(s->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->work_fd < 0)
		return err_errno(err, "cannot open '%s'", s->work);
	size_t n = is_assembler ? 1 : sizeof text - 1;
	return file_write_atomic(AT_FDCWD, s->source, is_assembler ? "\n" : text, n, 0600, err);
}

static const char *const *environment(struct arena *a, const struct view_query *q, const struct view_scratch *s, bool by_cwd)
{
	const char *const *from = env_for_probe(a, q->env);
	size_t n = 0, k = 0;
	while (from[n])
		n++;
	const char **env = arena_alloc(a, (n + 3) * sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (!text_begins(from[i], "TMPDIR=") && !text_begins(from[i], "MAKEFLAGS=") &&
		    !text_begins(from[i], "GCC_DIAGNOSTICS_LOG=") && (by_cwd || !text_begins(from[i], "PWD=")))
			env[k++] = from[i];
	env[k++] = arena_printf(a, "TMPDIR=%s/t", s->dir);
	if (!by_cwd)
		env[k++] = arena_printf(a, "PWD=%s", s->work);
	return env;
}

// Not part of any toolchain. The kernel's own files tell of the process itself and of the machine (-march=native is in the
// key); devices hold nothing.
static bool is_beside(const struct view_scratch *s, const struct look *look)
{
	static const char *const beside[] = {"/proc", "/dev", "/sys"};
	for (size_t i = 0; i < COUNT_OF(beside); i++)
		if (path_below(beside[i], look->path))
			return true;
	// What leads to the scratch directory is there because of us, unless its names were read.
	return path_below(s->dir, look->path) || (!(look->how & LOOK_LIST) && path_below(look->path, s->dir));
}

// A name that is absent now and that the compiler has met, or the other way round. (A link may be there that leads nowhere.)
static bool contradicts(const struct look *look, int link, int target)
{
	bool is_there = (link != FOUND_KINDS && link != FOUND_NOTHING) || (target != FOUND_KINDS && target != FOUND_NOTHING);
	bool is_absent = link == FOUND_NOTHING || target == FOUND_NOTHING;
	return (look->error == 0 && !is_there) || (look->error == ENOENT && !is_absent);
}

// 0, with what to say if it happens each time.
static int once_more(const struct observe *o, const char *what, struct err *err)
{
	err_set(err, ERR_IO, "'%s' %s", o->argv[0], what);
	return 0;
}

static int changed_meanwhile(const struct observe *o, struct err *err)
{
	return once_more(o, "looks at what changes all the time", err);
}

// 1 the looks are in `f`; 0 something changed meanwhile; -1 they are not to be had.
static int take_looks(struct views *vs, const struct observe *o, const struct view_scratch *s, struct findings *f,
		      bool *by_cwd, struct err *err)
{
	for (unsigned i = 0; i < o->n_looks; i++) {
		const struct look *l = &o->looks[i];
		const char *in_work = path_below(s->work, l->path);
		if (in_work && strcmp(in_work, ".") != 0)
			*by_cwd = true;
		if (is_beside(s, l))
			continue;
		if ((l->how & LOOK_WRITE) && l->error == 0)
			return err_set(err, ERR_ACCESS, "'%s' writes to '%s'", o->argv[0], l->path);
		bool of_link = l->how & (LOOK_LSTAT | LOOK_LINK), of_target = l->how & ~(unsigned)(LOOK_LSTAT | LOOK_LINK);
		enum finding_want want = l->how & LOOK_LIST                ? WANT_LIST
					 : l->how & (LOOK_OPEN | LOOK_RUN) ? WANT_CONTENT
									   : WANT_KIND;
		int link = of_link ? findings_add(f, vs->files, l->path, WANT_LINK, err) : FOUND_KINDS;
		int target = of_target ? findings_add(f, vs->files, l->path, want, err) : FOUND_KINDS;
		if (link == -1 || target == -1)
			return -1;
		if (contradicts(l, link, target))
			return changed_meanwhile(o, err);
	}
	return 1;
}

// A program that runs another compiler is not the one that decides what is made: what it asks for before (variables, the clock) is in
// no list of names. Returns the other one's name.
static const char *runs_another(const struct observe *o, const char *compiler)
{
	AUTO_FREE char *own = realpath(compiler, NULL);
	for (unsigned i = 0; own && i < o->n_looks; i++) {
		const struct look *l = &o->looks[i];
		AUTO_FREE char *real = (l->how & LOOK_RUN) && l->error == 0 ? realpath(l->path, NULL) : NULL;
		if (real && strcmp(real, own) != 0 &&
		    (compiler_name_has_kind(path_base(l->path)) || compiler_name_has_kind(path_base(real))))
			return l->path;
	}
	return NULL;
}

// One observed compile. 1 it is in `f`, or `by_cwd` has become true; 0 it has to be done once more; -1 it can't be had.
static int observe_once(struct views *vs, const struct view_query *q, const char *const *words, unsigned n_arguments,
			bool *by_cwd, struct findings *f, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	__attribute__((cleanup(scratch_release))) struct view_scratch s = {.work_fd = -1};
	if (scratch_make(&s, vs->scratch, q->line, err) < 0)
		return -1;
	const char **argv = arena_alloc(&a, (n_arguments + 8) * sizeof *argv);
	unsigned n = 0;
	argv[n++] = q->argv0;
	for (unsigned i = 0; i < n_arguments; i++)
		argv[n++] = words[i];
	argv[n++] = "-o";
	argv[n++] = s.output;
	argv[n++] = "-x";
	argv[n++] = q->line->makes_pch ? arena_printf(&a, "%s-header", lang_name(q->line->lang)) : lang_name(q->line->lang);
	argv[n++] = s.source;
	struct observe o = {.argv = argv,
			    .program = q->compiler->path,
			    .envp = environment(&a, q, &s, *by_cwd),
			    .cwd_fd = *by_cwd ? q->cwd_fd : s.work_fd,
			    .time_limit_ms = OBSERVE_MS};
	int64_t began = clock_now_ns();
	if (observe_run(&o, &a, err) < 0)
		return -1;
	if (o.killed)
		return once_more(&o, "is killed each time that it is observed", err);
	const char *another = runs_another(&o, q->compiler->path);
	if (another)
		return err_set(err, ERR_USAGE, "'%s' runs '%s'", q->compiler->path, another);
	if (o.unclear)
		return err_set(err, ERR_FORMAT, "'%s' makes calls that are not understood", q->compiler->path);
	bool was_by_cwd = *by_cwd;
	int rc = take_looks(vs, &o, &s, f, by_cwd, err);
	if (*by_cwd && !was_by_cwd)
		return 1; // whatever else it says
	if (rc == 1 && (!WIFEXITED(o.status) || WEXITSTATUS(o.status) != 0))
		return err_set(err, ERR_FORMAT, "'%s' fails to compile a declaration with these arguments",
			       q->compiler->path);
	// File dates are those of the kernel's slower clock.
	if (rc == 1 && findings_changed_since(f, began - 20000000))
		return changed_meanwhile(&o, err);
	return rc;
}

static struct view *ask(struct views *vs, const struct view_query *q, const char *const *words, unsigned n, bool by_cwd)
{
	struct view *v = view_new();
	v->asked_ns = clock_now_ns();
	int rc = 0;
	for (int i = 0; i < ATTEMPTS && rc == 0; i++) {
		struct findings *f = findings_new();
		bool needs_cwd = by_cwd;
		rc = observe_once(vs, q, words, n, &needs_cwd, f, &v->why);
		if (rc == 1 && needs_cwd == by_cwd) {
			findings_seal(f);
			v->findings = findings_ref(f);
			v->digest = findings_digest(f, q->root, q->root_real);
		}
		v->by_cwd = needs_cwd && !by_cwd;
		findings_unref(f);
	}
	return v;
}

// ---- remembering ----------------------------------------------------------------------------------------------------

static struct view *from_store(struct views *vs, const struct digest *key, const struct view_query *q)
{
	AUTO_BUF struct buf b = BUF_INIT;
	if (!vs->store || store_get(vs->store, STORE_TOOLCHAIN, key, &b, NULL) != 1)
		return NULL;
	struct rd r = RD(b.data, b.len);
	uint32_t format = rd_u32(&r);
	bool by_cwd = rd_u8(&r);
	struct findings *f = format == FORMAT && !by_cwd && !r.bad ? findings_decode(&r) : NULL;
	if (r.bad || format != FORMAT || (!f && !by_cwd)) {
		store_remove(vs->store, STORE_TOOLCHAIN, key);
		return NULL;
	}
	struct view *v = view_new();
	v->by_cwd = by_cwd;
	v->findings = f;
	if (f)
		v->digest = findings_digest(f, q->root, q->root_real);
	return v;
}

static void to_store(struct views *vs, const struct digest *key, const struct view *v)
{
	if (!vs->store || (!v->findings && !v->by_cwd))
		return;
	AUTO_BUF struct buf b = BUF_INIT;
	buf_add_u32(&b, FORMAT);
	buf_add_u8(&b, v->by_cwd);
	if (v->findings)
		findings_encode(v->findings, &b);
	struct store_part part = {b.data, b.len};
	store_put(vs->store, STORE_TOOLCHAIN, key, &part, 1, NULL);
}

// Is the answer one to use now? A refusal is, for a while.
static bool is_good(struct views *vs, struct view *v, uint64_t epoch)
{
	if (!v || v->by_cwd)
		return v != NULL;
	if (v->findings)
		return findings_hold(v->findings, vs->files, vs->watch, epoch, NULL);
	int64_t age = clock_now_ns() - v->asked_ns;
	return age >= 0 && age < REFUSED_S * INT64_C(1000000000);
}

static struct view *known(struct views *vs, const struct digest *key)
{
	pthread_mutex_lock(&vs->lock);
	struct view *v = map_get(&vs->known, key, sizeof *key);
	if (v)
		view_ref(v);
	pthread_mutex_unlock(&vs->lock);
	return v;
}

// Waits while another thread asks the same. True: it is ours to ask now.
static bool take_turn(struct views *vs, const struct digest *key)
{
	pthread_mutex_lock(&vs->lock);
	bool waited = false;
	while (map_get(&vs->asking, key, sizeof *key)) {
		waited = true;
		pthread_cond_wait(&vs->answered, &vs->lock);
	}
	if (!waited)
		map_put(&vs->asking, key, sizeof *key, vs);
	pthread_mutex_unlock(&vs->lock);
	return !waited;
}

static void end_turn(struct views *vs, const struct digest *key, struct view *v)
{
	pthread_mutex_lock(&vs->lock);
	if (vs->known.n >= VIEWS_MAX)
		forget_all(vs);
	view_unref(map_put(&vs->known, key, sizeof *key, view_ref(v)));
	map_del(&vs->asking, key, sizeof *key);
	pthread_cond_broadcast(&vs->answered);
	pthread_mutex_unlock(&vs->lock);
}

static struct view *find_by_key(struct views *vs, const struct view_query *q, const char *const *words, unsigned n,
				bool by_cwd)
{
	struct digest key = question_key(q, words, n, by_cwd);
	for (;;) {
		struct view *v = known(vs, &key);
		if (is_good(vs, v, q->epoch))
			return v;
		view_unref(v);
		if (!take_turn(vs, &key))
			continue;
		v = from_store(vs, &key, q);
		if (!is_good(vs, v, q->epoch)) {
			view_unref(v);
			v = ask(vs, q, words, n, by_cwd);
			to_store(vs, &key, v);
		}
		end_turn(vs, &key, v);
		return v;
	}
}

// ---- where nothing can be observed ----------------------------------------------------------------------------------

// Words and variables that are known to make the driver look elsewhere.
static bool is_risky(const struct view_query *q, const char *const *words, unsigned n)
{
	static const char *const begun[] = {"--target", "-target",  "--sysroot", "-isysroot",    "-F",         "-iframework",
					    "-stdlib",  "--stdlib", "-specs",    "--specs",      "-m",         "-arch",
					    "-iprefix", "-iwith",   "-imulti",   "-fuse-ld",     "-fsanitize", "-B",
					    "--prefix", "--gcc-",   "-gcc-",     "-resource-dir"};
	static const char *const variables[] = {"COMPILER_PATH",
						"GCC_EXEC_PREFIX",
						"GCC_ROOT",
						"LD_PRELOAD",
						"SDKROOT",
						"CLANG_CONFIG_FILE_SYSTEM_DIR",
						"CLANG_CONFIG_FILE_USER_DIR"};
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < COUNT_OF(begun); k++)
			if (text_begins(words[i], begun[k]))
				return true;
	for (size_t i = 0; i < COUNT_OF(variables); i++)
		if (env_value(q->env, variables[i]))
			return true;
	return false;
}

int views_find(struct views *vs, const struct view_query *q, struct view **out, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	unsigned n;
	const char **words = steering_arguments(&a, q->line, &n);
	*out = NULL;
	struct view *v = find_by_key(vs, q, words, n, false);
	if (v->by_cwd) {
		view_unref(v);
		v = find_by_key(vs, q, words, n, true);
	}
	if (v->findings) {
		*out = v;
		return 0;
	}
	// ptrace or seccomp is not to be had, or something is wrong with this command alone.
	bool impossible = v->why.code == ERR_ACCESS && v->why.sys;
	int rc = impossible && !is_risky(q, words, n) ? 0 : err_set(err, v->why.code, "%s", v->why.text);
	view_unref(v);
	return rc;
}
