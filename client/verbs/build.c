// `coffer make`, `coffer ninja`, `coffer cmake`, `coffer run`: a build whose jobserver is coffer (jobserver/front.h).
#include "base/path.h"
#include "base/self.h"
#include "client/stats.h"
#include "client/verbs/verbs.h"
#include "jobserver/front.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer make [ARGUMENT]...\n"
	"       coffer ninja [ARGUMENT]...\n"
	"       coffer cmake [ARGUMENT]...\n"
	"       coffer run [-j N] [--] COMMAND [ARGUMENT]...\n"
	"\n"
	"Runs the build tool with the arguments given, with as many local jobs as there are processors (-j N: with N), and\n"
	"with as many more as wait for other machines. Compilers that the build calls by name go through the cache.\n"
	"\n"
	"  --summary      say at the end what came of the compiles and how many ran at once\n"
	"  --no-progress  no progress line on a terminal\n"
	"\n"
	"Of cmake, `coffer cmake --build FOLDER` is a build; everything else only gets coffer as compiler launcher.\n";

struct build {
	struct arena arena;
	struct front front;
	struct stats *stats;
	struct front_counts before;
};

static struct front_counts count(const struct build *b)
{
	return (struct front_counts){stats_value(b->stats, STAT_compiles),
				     stats_value(b->stats, STAT_direct_hits) +
					     stats_value(b->stats, STAT_preprocessed_hits)};
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0; // somebody may have set them to zero
}

static void count_this_build(void *ctx, struct front_counts *c)
{
	const struct build *b = ctx;
	struct front_counts now = count(b);
	c->compiles = since(now.compiles, b->before.compiles);
	c->hits = since(now.hits, b->before.hits);
}

// The first of these files, relative to the directory of our own program, that is there.
static char *find_beside(struct arena *a, const char *const *names)
{
	for (; *names; names++) {
		const char *file = self_beside(a, *names);
		AUTO_FREE char *real = file ? realpath(file, NULL) : NULL;
		if (real && access(real, X_OK) == 0)
			return arena_strdup(a, real);
	}
	return NULL;
}

// Where the settings can't be read, the compiles will say so.
static bool has_farm(void)
{
	struct settings s;
	struct config_source source = {.env = process_env};
	if (config_load(&s, &source, NULL) < 0)
		return false;
	bool found = *setting_text(&s, SETTING_scheduler) || *setting_text(&s, SETTING_worker) ||
		     *setting_text(&s, SETTING_cluster);
	settings_release(&s);
	return found;
}

static void find_installed(struct build *b)
{
	static const char *const launchers[] = {"coffer", "../bin/coffer", "../../bin/coffer", NULL};
	static const char *const gates[] = {"coffer-gate", "../lib/coffer/coffer-gate", "../libexec/coffer/coffer-gate",
					    NULL};
	struct arena *a = &b->arena;
	struct front *f = &b->front;
	f->launcher = find_beside(a, launchers);
	char *gate = find_beside(a, gates);
	f->gate_dir = gate ? path_dir(a, gate) : NULL;
	f->cache_dir = config_cache_dir(a, process_env, NULL);
	b->stats = f->cache_dir ? stats_open(f->cache_dir, NULL) : NULL;
	b->before = count(b);
	f->has_farm = has_farm();
	f->counts = count_this_build;
	f->ctx = b;
}

// Takes our own words out of argv, as far as "--".
static void take_own_words(struct front *f, int argc, char **argv)
{
	int kept = 1, i = 1;
	f->wants_progress = true;
	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--summary") == 0)
			f->wants_summary = true;
		else if (strcmp(argv[i], "--no-progress") == 0)
			f->wants_progress = false;
		else
			argv[kept++] = argv[i];
	}
	while (i < argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
}

static bool is_help(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--help") != 0)
		return false;
	fputs(usage, stdout);
	return true;
}

static int run(struct build *b)
{
	find_installed(b);
	int status = front_run(&b->front);
	stats_close(b->stats);
	arena_release(&b->arena);
	return status;
}

int verb_make(int argc, char **argv)
{
	struct build b = {.front = {.argv = argv, .jobs = JOBS_UNSET, .grammar = JOBS_OF_MAKE, .probe = "make"}};
	if (is_help(argc, argv))
		return 0;
	take_own_words(&b.front, argc, argv);
	jobs_strip(argv, JOBS_OF_MAKE, JOBS_OF_MAKE, &b.front.jobs);
	return run(&b);
}

int verb_ninja(int argc, char **argv)
{
	struct build b = {.front = {.argv = argv, .jobs = JOBS_UNSET, .grammar = JOBS_OF_NINJA, .probe = "ninja"}};
	if (is_help(argc, argv))
		return 0;
	take_own_words(&b.front, argc, argv);
	b.front.untouched = ninja_is_no_build(argv);
	if (!b.front.untouched)
		jobs_strip(argv, JOBS_OF_NINJA, JOBS_OF_NINJA, &b.front.jobs);
	return run(&b);
}

// The value of one entry of CMakeCache.txt ("NAME:TYPE=value"), or NULL.
static char *cached_value(struct arena *a, const char *build_dir, const char *name)
{
	FILE *f = fopen(path_join(a, build_dir, "CMakeCache.txt"), "re");
	char line[PATH_MAX + 256], *found = NULL;
	size_t n = strlen(name);
	while (f && !found && fgets(line, sizeof line, f)) {
		char *eq = strchr(line, '=');
		if (strncmp(line, name, n) != 0 || line[n] != ':' || !eq)
			continue;
		eq[1 + strcspn(eq + 1, "\r\n")] = '\0';
		found = arena_strdup(a, eq + 1);
	}
	if (f)
		fclose(f);
	return found;
}

// The directory of `cmake --build DIRECTORY`; NULL if this is no build, or one by preset, whose directory only cmake knows.
static const char *build_directory(char **argv)
{
	for (int i = 1; argv[i] && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--build") == 0 && argv[i + 1] && argv[i + 1][0] != '-')
			return argv[i + 1];
	return NULL;
}

static bool asks_only(char **argv)
{
	for (int i = 1; argv[i] && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

// The native tool of a build directory: its program decides about the transport, its grammar about -j behind "--".
static void find_native(struct build *b, const char *directory)
{
	struct front *f = &b->front;
	char *generator = cached_value(&b->arena, directory, "CMAKE_GENERATOR");
	char *program = cached_value(&b->arena, directory, "CMAKE_MAKE_PROGRAM");
	bool ninja = generator && strncmp(generator, "Ninja", 5) == 0;
	bool make = generator && strstr(generator, "Makefiles");
	f->untouched = !ninja && !make; // not configured, or a tool without jobserver
	f->probe = program ? program : ninja ? "ninja" : "make";
	if (f->untouched)
		return;
	jobs_strip(f->argv, JOBS_OF_CMAKE, ninja ? JOBS_OF_NINJA : JOBS_OF_MAKE, &f->jobs);
	const char *level = getenv("CMAKE_BUILD_PARALLEL_LEVEL"); // cmake turns it into a -j
	if (level && f->jobs == JOBS_UNSET && atoi(level) > 0)
		f->jobs = atoi(level);
	unsetenv("CMAKE_BUILD_PARALLEL_LEVEL");
}

int verb_cmake(int argc, char **argv)
{
	// Read by `project()` when a directory is configured for the first time, unless the user chose a launcher.
	static const char *env[] = {"CMAKE_C_COMPILER_LAUNCHER", NULL, "CMAKE_CXX_COMPILER_LAUNCHER", NULL, NULL};
	struct build b = {.front = {.argv = argv, .jobs = JOBS_UNSET, .grammar = JOBS_OF_CMAKE, .untouched = true}};
	if (is_help(argc, argv))
		return 0;
	take_own_words(&b.front, argc, argv);
	const char *directory = asks_only(argv) ? NULL : build_directory(argv);
	if (directory)
		find_native(&b, directory);
	find_installed(&b);
	if (b.front.launcher) {
		env[1] = env[3] = b.front.launcher;
		b.front.env = env;
		// With the launcher the compilers are found where they are: CMake remembers their full names.
		b.front.launcher = NULL;
	}
	int status = front_run(&b.front);
	stats_close(b.stats);
	arena_release(&b.arena);
	return status;
}

// What `coffer run` starts is mostly a script; where it is a build tool, that tool decides.
static void know_command(struct front *f)
{
	const char *name = path_base(f->argv[0]);
	bool ninja = strcmp(name, "ninja") == 0 || strcmp(name, "samu") == 0;
	bool make = strcmp(name, "make") == 0 || strcmp(name, "gmake") == 0;
	f->grammar = ninja ? JOBS_OF_NINJA : make ? JOBS_OF_MAKE : JOBS_OF_NONE;
	f->probe = ninja || make ? f->argv[0] : "make";
	if (ninja)
		f->untouched = ninja_is_no_build(f->argv);
	if ((ninja && !f->untouched) || make)
		jobs_strip(f->argv, f->grammar, f->grammar, &f->jobs);
}

int verb_run(int argc, char **argv)
{
	struct build b = {.front = {.jobs = JOBS_UNSET, .wants_progress = true}};
	struct front *f = &b.front;
	int i = 1, own = JOBS_UNSET;
	if (is_help(argc, argv))
		return 0;
	for (; i < argc && argv[i][0] == '-' && strcmp(argv[i], "--") != 0; i++) {
		const char *number = NULL;
		if (strcmp(argv[i], "--summary") == 0)
			f->wants_summary = true;
		else if (strcmp(argv[i], "--no-progress") == 0)
			f->wants_progress = false;
		else if (strncmp(argv[i], "-j", 2) == 0)
			number = argv[i][2] ? argv[i] + 2 : ++i < argc ? argv[i] : "";
		else
			return verb_wrong("run", "unknown option '%s'", argv[i]);
		if (!number)
			continue;
		own = number[strspn(number, "0123456789")] == '\0' ? atoi(number) : 0;
		if (own < 1 || own > JOBS_MAX)
			return verb_wrong("run", "-j takes a number from 1 to %d", JOBS_MAX);
	}
	i += i < argc && strcmp(argv[i], "--") == 0;
	if (i >= argc)
		return verb_wrong("run", "a command is missing");
	f->argv = argv + i;
	know_command(f);
	if (own != JOBS_UNSET)
		f->jobs = own;
	return run(&b);
}
