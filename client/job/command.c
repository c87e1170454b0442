#include "client/job/job.h"

#include "base/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

// The maps go in front of the user's words, so that the user's own maps win. With a slash at the end a map can't catch a
// sibling of the build tree ("/src/proj" and "/src/proj2"); the folder itself needs one without, for debug information.
void job_prefix_maps(struct job *j, const char **argv, uint32_t *count)
{
	uint32_t n = *count;
	const char *roots[] = {j->root_real, j->root};
	for (size_t i = 0; i < COUNT_OF(roots); i++) {
		if (!roots[i])
			continue;
		argv[n++] = arena_printf(&j->arena, "-ffile-prefix-map=%s/=./", roots[i]);
		if (strcmp(j->cwd, roots[i]) == 0)
			argv[n++] = arena_printf(&j->arena, "-fdebug-prefix-map=%s=.", roots[i]);
	}
	*count = n;
}

const char *job_seed_word(struct job *j)
{
	return arena_printf(&j->arena, "-frandom-seed=%s",
			    j->source + (j->source[0] == PATH_TREE || j->source[0] == PATH_TREE_REAL));
}

void job_make_command(struct job *j, struct wire_run *run)
{
	uint32_t n = 0;
	run->argv = arena_alloc(&j->arena, (j->wire.n_argv + 12) * sizeof *run->argv);
	run->argv[n++] = j->wire.argv[0];
	if (j->reproducible)
		job_prefix_maps(j, run->argv, &n);
	if (j->seed)
		run->argv[n++] = job_seed_word(j);
	if (j->inputs_from == INPUTS_OUR_DEPFILE) {
		run->argv[n++] = "-MD";
		run->argv[n++] = "-MF";
		run->depfile_word = n;
		run->argv[n++] = "";
		run->flags |= RUN_DEPFILE;
	}
	// GNU as lists what it read itself: .incbin and .include, however they were spelled. With -flto the compiler would keep
	// our words in the object and use them again when it links.
	if (j->compiler->gnu_as && j->line.assembles && !j->lto) {
		run->asm_depfile_word = n;
		run->argv[n++] = "-Wa,--MD,";
		run->flags |= RUN_ASM_DEPFILE;
	}
	for (uint32_t i = 1; i < j->wire.n_argv; i++)
		run->argv[n++] = j->wire.argv[i];
	run->n_argv = n;
	run->max_messages = 4 << 20;
}

static int64_t newest_date(const struct job *j)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *const names[] = {j->line.source, path_dir(&a, j->line.source), "."};
	int64_t newest = j->newest_input_ns;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct stat st;
		if (fstatat(j->cwd_fd, names[i], &st, 0) < 0)
			continue;
		struct file_id id = file_id_of(&st);
		newest = id.ctime_ns > newest ? id.ctime_ns : newest;
	}
	return newest;
}

void job_wait_for_clock(struct job *j)
{
	enum { STEP_NS = 500000, MOST_STEPS = 40 };
	int64_t newest = newest_date(j);
	for (int i = 0; i < MOST_STEPS; i++) {
		struct timespec now, step = {0, STEP_NS};
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		j->start_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
		// Not at all for dates in the future: waiting does not help there.
		if (j->start_ns > newest || newest - j->start_ns > (int64_t)STEP_NS * MOST_STEPS)
			return;
		nanosleep(&step, NULL);
	}
}
