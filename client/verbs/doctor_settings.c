// What the environment and the files say: settings, unknown variables, other caches, the jobserver.
#include "client/verbs/doctor.h"
#include "client/verbs/verbs.h"
#include "settings/nearest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Variables that are no settings: the user's, then those that coffer gives to what it starts.
static const char *const other_names[] = {
	"COFFER_CACHE_DIR", "COFFER_CONFIG",   "COFFER_RUNTIME_DIR",   "COFFER_DISABLE",   "COFFER_LEND",
	"COFFER_DEPTH",     "COFFER_FOLLOWED", "COFFER_FOLLOWED_FROM", "COFFER_JOBSERVER", "COFFER_JOBSERVER_AUTH",
	"COFFER_SLOT",      "COFFER_GATE",     "COFFER_GATE_TOOL",
};

void doctor_check_settings(struct doctor *d)
{
	struct err err = ERR_INIT;
	if (verb_load_config(&d->config, &err) < 0) {
		found_problem(d, "settings", "correct it; coffer.conf(5) has all settings", "%s", err.text);
		return;
	}
	d->has_config = true;
	const char *named = getenv("COFFER_CONFIG");
	if (named && *named && access(named, F_OK) < 0)
		found_warning(d, "settings", "correct or unset COFFER_CONFIG",
			      "COFFER_CONFIG names '%s', and there is no such file", named);
	if (!setting_bool(&d->config, SETTING_enabled))
		found_warning(d, "settings", "set 'enabled = on' if you want a cache", "coffer is turned off (by %s)",
			      d->config.values[SETTING_enabled].origin);
	found_ok(d, "settings", "the settings can be read");
}

// ---- variables ----------------------------------------------------------------------------------------------------

static size_t known_variables(struct arena *a, const char *known[SETTING_COUNT + COUNT_OF(other_names)])
{
	size_t n = 0;
	for (enum setting s = 0; s < SETTING_COUNT; s++)
		known[n++] = setting_variable(a, &client_settings, client_settings.defs[s].name);
	for (size_t i = 0; i < COUNT_OF(other_names); i++)
		known[n++] = other_names[i];
	return n;
}

static void check_names(struct doctor *d)
{
	const char *known[SETTING_COUNT + COUNT_OF(other_names)];
	size_t n = known_variables(&d->arena, known), unknown = 0;
	for (char **at = environ; *at; at++) {
		if (strncmp(*at, "COFFER_", 7) != 0)
			continue;
		const char *name = arena_strndup(&d->arena, *at, strcspn(*at, "="));
		size_t i = 0;
		while (i < n && strcmp(known[i], name) != 0)
			i++;
		if (i < n)
			continue;
		unknown++;
		const char *near = nearest_word(name, known, n);
		found_warning(d, "variables",
			      near ? arena_printf(&d->arena, "did you mean %s?", near)
				   : "unset it; coffer.conf(5) has all variables",
			      "the variable %s means nothing to coffer", name);
	}
	if (!unknown)
		found_ok(d, "variables", "every COFFER_ variable is known");
}

static bool names_program(const char *words, const char *program)
{
	size_t n = strlen(program);
	for (const char *at = words; (at = strstr(at, program)); at += n) {
		bool begins = at == words || at[-1] == ' ' || at[-1] == '/' || at[-1] == ';';
		if (begins && (!at[n] || at[n] == ' ' || at[n] == ';'))
			return true;
	}
	return false;
}

static void check_other_caches(struct doctor *d)
{
	static const char *const names[] = {"CC", "CXX", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER"};
	static const char *const caches[] = {"ccache", "sccache"};
	const char *prefix = getenv("CCACHE_PREFIX");
	if (prefix && names_program(prefix, "coffer"))
		found_warning(d, "other_caches", "unset CCACHE_PREFIX, and use coffer in place of ccache",
			      "CCACHE_PREFIX makes ccache run coffer: every result is kept twice");
	else if (prefix && *prefix)
		found_warning(d, "other_caches", "unset CCACHE_PREFIX if you have left ccache",
			      "CCACHE_PREFIX is '%s', which coffer does not run", prefix);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *words = getenv(names[i]);
		for (size_t k = 0; words && k < COUNT_OF(caches); k++)
			if (names_program(words, caches[k]) && names_program(words, "coffer"))
				found_warning(d, "other_caches",
					      arena_printf(&d->arena, "take %s out of %s", caches[k], names[i]),
					      "%s names both %s and coffer: one of them is in the other's way", names[i],
					      caches[k]);
	}
}

// GNU make manual, "Integrating with GNU make": --jobserver-auth=R,W or fifo:PATH (before 4.2 --jobserver-fds=R,W).
static bool jobserver_is_open(const char *value)
{
	if (strncmp(value, "fifo:", 5) == 0) {
		AUTO_FREE char *path = mem_strndup(value + 5, strcspn(value + 5, " "));
		return access(path, R_OK | W_OK) == 0;
	}
	char *end;
	long in = strtol(value, &end, 10);
	long out = *end == ',' ? strtol(end + 1, NULL, 10) : -1;
	if (in < 0 || out < 0)
		return true; // make says that there is none on purpose
	return fcntl((int)in, F_GETFD) >= 0 && fcntl((int)out, F_GETFD) >= 0;
}

static void check_make(struct doctor *d)
{
	static const char *const options[] = {"--jobserver-auth=", "--jobserver-fds="};
	const char *flags = getenv("MAKEFLAGS");
	for (size_t i = 0; flags && i < COUNT_OF(options); i++) {
		const char *at = strstr(flags, options[i]);
		if (at && !jobserver_is_open(at + strlen(options[i])))
			found_warning(d, "make", "unset MAKEFLAGS, or begin the recipe's line with '+'",
				      "MAKEFLAGS names a jobserver that can't be reached from here");
	}
}

void doctor_check_environment(struct doctor *d)
{
	check_names(d);
	check_other_caches(d);
	check_make(d);
}
