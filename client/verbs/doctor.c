#include "client/verbs/doctor.h"

#include "client/verbs/format.h"
#include "client/verbs/verbs.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: coffer doctor [worker] [--json]\n"
	"\n"
	"Looks at folders, daemon, compilers, settings and the machine, and says what is wrong and how\n"
	"to mend it. Changes nothing. Ends with 1 if there is a problem; warnings are none.\n"
	"\n"
	"  worker  what this machine can do as a worker of a farm, found out by doing it: which labels of\n"
	"          isolation it can give, and why not the others\n"
	"  --json  the findings as one JSON object\n";

static const char *const level_names[FINDING_LEVELS] = {
	[FINDING_OK] = "ok",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
};

// ---- findings -----------------------------------------------------------------------------------------------------

__attribute__((format(printf, 5, 0))) static void note(struct doctor *d, enum finding_level level, const char *check,
						       const char *fix, const char *fmt, va_list ap)
{
	AUTO_FREE char *text = NULL;
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	// Names of files and variables come from outside: one line, no escapes for the terminal.
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	d->findings = mem_realloc(d->findings, (d->n_findings + 1) * sizeof *d->findings);
	d->findings[d->n_findings++] = (struct doctor_finding){level, check, arena_strdup(&d->arena, text), fix};
	d->n_by_level[level]++;
}

void found_ok(struct doctor *d, const char *check, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(d, FINDING_OK, check, NULL, fmt, ap);
	va_end(ap);
}

void found_warning(struct doctor *d, const char *check, const char *fix, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(d, FINDING_WARNING, check, fix, fmt, ap);
	va_end(ap);
}

void found_problem(struct doctor *d, const char *check, const char *fix, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(d, FINDING_PROBLEM, check, fix, fmt, ap);
	va_end(ap);
}

// ---- printing -----------------------------------------------------------------------------------------------------

static void put_people(const struct doctor *d)
{
	for (size_t i = 0; i < d->n_findings; i++) {
		const struct doctor_finding *f = &d->findings[i];
		if (f->level == FINDING_OK) {
			printf("%sok%s      %s\n", format_style(STYLE_GOOD), format_plain(), f->text);
			continue;
		}
		printf("%scoffer: %s:%s %s\n", format_style(STYLE_BAD), level_names[f->level], format_plain(), f->text);
		printf("        fix: %s\n", f->fix);
	}
	printf("%zu problems, %zu warnings\n", d->n_by_level[FINDING_PROBLEM], d->n_by_level[FINDING_WARNING]);
}

static void put_object(const struct doctor *d)
{
	json_t *all = json_object(), *list = json_array();
	for (size_t i = 0; i < d->n_findings; i++) {
		const struct doctor_finding *f = &d->findings[i];
		json_t *o = json_object();
		json_object_set_new(o, "check", json_text(f->check));
		json_object_set_new(o, "level", json_text(level_names[f->level]));
		json_object_set_new(o, "text", json_text(f->text));
		json_object_set_new(o, "fix", f->fix ? json_text(f->fix) : json_null());
		json_array_append_new(list, o);
	}
	json_object_set_new(all, "problems", json_integer((json_int_t)d->n_by_level[FINDING_PROBLEM]));
	json_object_set_new(all, "warnings", json_integer((json_int_t)d->n_by_level[FINDING_WARNING]));
	json_object_set_new(all, "findings", list);
	put_json(all);
}

static void doctor_release(struct doctor *d)
{
	free(d->findings);
	settings_release(&d->config);
	arena_release(&d->arena);
}

int verb_doctor(int argc, char **argv)
{
	static void (*const checks[])(struct doctor *) = {
		doctor_check_settings,          doctor_check_environment, doctor_check_cache_directory,
		doctor_check_runtime_directory, doctor_check_clock,       doctor_check_daemon,
		doctor_check_compilers,         doctor_check_farm,        doctor_check_store,
		doctor_check_machine,
	};
	int json = 0;
	const struct option options[] = {{"json", no_argument, &json, 1}, {0}};
	struct verb_args args = {.usage = usage, .options = options, .max_words = 1};
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	bool is_worker = args.n_words && strcmp(args.words[0], "worker") == 0;
	if (args.n_words && !is_worker)
		return verb_wrong("doctor", "it takes 'worker' or nothing, not '%s'", args.words[0]);
	__attribute__((cleanup(doctor_release))) struct doctor d = {.arena = ARENA_INIT};
	for (size_t i = 0; !is_worker && i < COUNT_OF(checks); i++)
		checks[i](&d);
	if (is_worker)
		doctor_check_worker(&d);
	if (json)
		put_object(&d);
	else
		put_people(&d);
	return d.n_by_level[FINDING_PROBLEM] ? 1 : 0;
}
