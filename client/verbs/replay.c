// `coffer replay`: runs rows of the audit log again, on the machine of the worker that has written them (docs/audit.md).
#include "client/verbs/audit_log.h"
#include "client/verbs/verbs.h"

#include "audit/reader.h"
#include "worker/replay.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { OPT_LOG = 1, OPT_SAMPLE, OPT_CONFIG, OPT_FOLDER, OPT_IMAGES, OPT_RUNTIME, OPT_AGENT, MOST_SAMPLE = 100000 };

static const char usage[] = "usage: coffer replay [OPTIONS] ROW|JOB…      run these rows again and compare what comes out\n"
			    "       coffer replay [OPTIONS] -             rows are read from standard input, a line each\n"
			    "       coffer replay [OPTIONS] --sample N    N rows of the log, drawn by chance\n"
			    "\n"
			    "It runs where the worker runs, with the worker's settings, and says of each row: identical, "
			    "different (and how), or what\n"
			    "is missing to run it. It ends with 0 if all are identical, with 1 if any is different or "
			    "failed, with 3 if rows only\n"
			    "could not be run.\n"
			    "\n"
			    "  --config FILE   the worker's settings (/etc/coffer/worker.conf); --folder, --images, "
			    "--runtime, --agent as of the worker\n"
			    "  --log DIR       the audit log; else FOLDER/audit\n";

static const struct option options[] = {
	{"log", required_argument, NULL, OPT_LOG},       {"sample", required_argument, NULL, OPT_SAMPLE},
	{"config", required_argument, NULL, OPT_CONFIG}, {"folder", required_argument, NULL, OPT_FOLDER},
	{"images", required_argument, NULL, OPT_IMAGES}, {"runtime", required_argument, NULL, OPT_RUNTIME},
	{"agent", required_argument, NULL, OPT_AGENT},   {NULL, 0, NULL, 0}};

struct replaying {
	const struct verb_args *args;
	unsigned long sample;
	unsigned counts[3]; // by enum replayed
	unsigned failed;
};

static void replay_one(struct replaying *p, struct worker_service *s, const char *name, const struct audit_row *row)
{
	static const char *const words[] = {"identical", "different", "missing"};
	struct replay r;
	struct err err = ERR_INIT;
	if (replay_row(s, row, &r, &err) < 0) {
		p->failed++;
		printf("failed\t%s\t%s\n", name, err.text);
		return;
	}
	p->counts[r.what]++;
	printf("%s\t%s\t%s\n", words[r.what], name,
	       r.why[0]                          ? r.why
	       : row->value[AUDIT_output_digest] ? row->value[AUDIT_output_digest]
						 : "-");
	fflush(stdout);
}

static int replay_named(struct replaying *p, struct worker_service *s, struct audit_source *log, struct err *err)
{
	for (int i = 0; i < p->args->n_words; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		uint64_t index;
		if (audit_source_find(log, p->args->words[i], &index, err) < 0 ||
		    audit_source_row(log, index, &a, &row, err) < 0)
			return -1;
		replay_one(p, s, row.value[AUDIT_job] ? row.value[AUDIT_job] : p->args->words[i], &row);
	}
	return 0;
}

static int replay_lines(struct replaying *p, struct worker_service *s, struct err *err)
{
	AUTO_FREE char *line = NULL;
	size_t room = 0;
	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		n -= line[n - 1] == '\n';
		if (n == 0 || line[0] == '#')
			continue;
		if (audit_row_read(line, (size_t)n, &a, &row, err) < 0)
			return -1;
		replay_one(p, s, row.value[AUDIT_job] ? row.value[AUDIT_job] : "-", &row);
	}
	return 0;
}

static bool can_be_drawn(const struct audit_row *row)
{
	return row->value[AUDIT_outcome] &&
	       (strcmp(row->value[AUDIT_outcome], "run") == 0 || strcmp(row->value[AUDIT_outcome], "hit") == 0);
}

// One pass: each row that can be drawn replaces a drawn one with the right chance (reservoir sampling).
static int replay_sample(struct replaying *p, struct worker_service *s, struct audit_source *log, struct err *err)
{
	struct audit_reader r;
	const char *line;
	size_t n, seen = 0;
	int rc;
	uint64_t *drawn = mem_alloc(p->sample * sizeof *drawn);
	audit_reader_init(&r, log->dirfd);
	while ((rc = audit_reader_next(&r, &line, &n, err)) == 1) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		uint64_t chance;
		if (audit_row_read(line, n, &a, &row, err) < 0 || getrandom(&chance, sizeof chance, 0) != sizeof chance) {
			rc = -1;
			break;
		}
		if (!can_be_drawn(&row))
			continue;
		size_t at = seen < p->sample ? seen : (size_t)(chance % (seen + 1));
		seen++;
		if (at < p->sample)
			drawn[at] = r.index - 1;
	}
	audit_reader_release(&r);
	for (size_t i = 0; rc == 0 && i < p->sample && i < seen; i++) {
		AUTO_ARENA struct arena a = ARENA_INIT;
		struct audit_row row;
		rc = audit_source_row(log, drawn[i], &a, &row, err);
		if (rc == 0)
			replay_one(p, s, row.value[AUDIT_job], &row);
	}
	free(drawn);
	return rc;
}

static int replay_all(void *ctx, struct worker_service *s, const char *log)
{
	struct replaying *p = ctx;
	struct err err = ERR_INIT;
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_AUDIT_SOURCE struct audit_source source = AUDIT_SOURCE_INIT;
	bool from_stdin = p->args->n_words == 1 && strcmp(p->args->words[0], "-") == 0;
	if (!from_stdin &&
	    audit_source_open(&source, p->args->values[OPT_LOG] ? p->args->values[OPT_LOG] : log, &a, &err) < 0)
		return verb_fail(&err);
	int rc = from_stdin  ? replay_lines(p, s, &err)
		 : p->sample ? replay_sample(p, s, &source, &err)
			     : replay_named(p, s, &source, &err);
	if (rc < 0)
		return verb_fail(&err);
	fprintf(stderr, "coffer: %u identical, %u different, %u missing, %u failed\n", p->counts[REPLAY_IDENTICAL],
		p->counts[REPLAY_DIFFERENT], p->counts[REPLAY_MISSING], p->failed);
	if (p->counts[REPLAY_DIFFERENT] || p->failed)
		return 1;
	return p->counts[REPLAY_MISSING] ? 3 : 0;
}

int verb_replay(int argc, char **argv)
{
	static const char *const passed[] = {[OPT_CONFIG] = "--config",
					     [OPT_FOLDER] = "--folder",
					     [OPT_IMAGES] = "--images",
					     [OPT_RUNTIME] = "--runtime",
					     [OPT_AGENT] = "--agent"};
	struct verb_args args = {.usage = usage, .options = options, .min_words = 0, .max_words = 10000};
	struct replaying p = {.args = &args};
	char *words[2 * COUNT_OF(passed) + 2] = {argv[0]};
	int n = 1;
	if (!verb_parse(&args, argc, argv))
		return args.exit_status;
	if (args.values[OPT_SAMPLE])
		p.sample = strtoul(args.values[OPT_SAMPLE], NULL, 10);
	if (args.values[OPT_SAMPLE] && (p.sample == 0 || p.sample > MOST_SAMPLE))
		return verb_wrong("replay", "--sample takes a number from 1 to %d", MOST_SAMPLE);
	if (!p.sample == !args.n_words)
		return verb_wrong("replay", "it takes rows, or --sample N");
	for (size_t i = 0; i < COUNT_OF(passed); i++)
		if (passed[i] && args.values[i]) {
			words[n++] = (char *)(uintptr_t)passed[i];
			words[n++] = (char *)(uintptr_t)args.values[i];
		}
	return worker_replay(n, words, replay_all, &p);
}
