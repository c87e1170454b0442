#include "client/job/baseline.h"

#include "base/path.h"
#include "client/job/search_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static int64_t later(const struct plan *p, const char *name, int64_t newest)
{
	struct stat st;
	if (fstatat(p->cwd_fd, name, &st, 0) < 0)
		return newest;
	struct file_id id = file_id_of(&st);
	return id.ctime_ns > newest ? id.ctime_ns : newest;
}

static int64_t newest_date(const struct plan *p, int64_t newest)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *const names[] = {p->line.source, path_dir(&a, p->line.source), "."};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		newest = later(p, names[i], newest);
	// A precompiled header has just been made.
	for (unsigned i = 0; i < p->line.n_extra_inputs; i++)
		newest = later(p, p->line.extra_inputs[i], newest);
	for (unsigned i = 0; i < p->line.n_forced; i++)
		newest = later(p, arena_printf(&a, "%s.gch", p->line.forced[i]), newest);
	return newest;
}

static int64_t wait_for_clock(const struct plan *p, int64_t newest_input_ns)
{
	enum { STEP_NS = 500000, MOST_STEPS = 40 };
	int64_t newest = newest_date(p, newest_input_ns), start = 0;
	for (int i = 0; i < MOST_STEPS; i++) {
		struct timespec now, step = {0, STEP_NS};
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		start = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
		// Not at all for dates in the future: waiting does not help there.
		if (start > newest || newest - start > (int64_t)STEP_NS * MOST_STEPS)
			break;
		nanosleep(&step, NULL);
	}
	return start;
}

void baseline_take(struct baseline *b, const struct plan *p, int64_t newest_input_ns)
{
	search_snapshot_release(b->search);
	b->search = search_snapshot_take(p);
	const char *profile = plan_profile_data(p);
	struct stat st;
	b->has_profile = profile && fstatat(p->cwd_fd, profile, &st, 0) == 0;
	int64_t newest_output_ns = outputs_note(p, &b->outputs);
	b->start_ns = wait_for_clock(p, newest_output_ns > newest_input_ns ? newest_output_ns : newest_input_ns);
	if (b->search)
		search_snapshot_starts(b->search, b->start_ns);
}

bool baseline_is_made(const struct baseline *b, const struct plan *p, enum part part)
{
	const char *name = plan_output_name(p, part);
	return name && output_fate(p, name, &b->outputs.parts[part], b->start_ns) == OUTPUT_MADE;
}

void baseline_release(struct baseline *b)
{
	search_snapshot_release(b->search);
}
