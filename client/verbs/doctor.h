// `coffer doctor`: checks that each look at one thing and note what they found. A problem keeps coffer from working or
// from being sure; a warning makes it slow or useless. Each comes with what mends it. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_DOCTOR_H
#define COFFER_CLIENT_VERBS_DOCTOR_H

#include "base/mem.h"
#include "client/config.h"

#include <stdbool.h>
#include <stddef.h>

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM, FINDING_LEVELS };

struct doctor_finding {
	enum finding_level level;
	const char *check; // "cache_directory": stable, for --json
	const char *text;  // one line
	const char *fix;   // one line; NULL with FINDING_OK
};

struct doctor {
	struct arena arena; // all texts
	struct doctor_finding *findings;
	size_t n_findings, n_by_level[FINDING_LEVELS];
	struct settings config; // if has_config
	bool has_config;
};

void found_ok(struct doctor *d, const char *check, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void found_warning(struct doctor *d, const char *check, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void found_problem(struct doctor *d, const char *check, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

// doctor_settings.c; the first one loads d->config
void doctor_check_settings(struct doctor *d);
void doctor_check_environment(struct doctor *d); // unknown COFFER_ variables, other caches, MAKEFLAGS
// doctor_directories.c
void doctor_check_cache_directory(struct doctor *d);
void doctor_check_runtime_directory(struct doctor *d);
void doctor_check_clock(struct doctor *d);
// doctor_compilers.c
void doctor_check_compilers(struct doctor *d);
const char *doctor_real_compiler(struct doctor *d, const char *name); // the first in PATH that is no link to coffer, or NULL
// doctor_farm.c
void doctor_check_farm(struct doctor *d); // asks scheduler and workers, for some seconds at most
// doctor_store.c
void doctor_check_store(struct doctor *d); // asks a shared store for one entry, for some seconds at most
// doctor_machine.c
void doctor_check_machine(struct doctor *d); // /proc, /dev/fd, memory files, limits
void doctor_check_daemon(struct doctor *d);
// doctor_worker.c: what this machine can do as a worker; opens sessions, runs a guest of a few bytes
void doctor_check_worker(struct doctor *d);

#endif
