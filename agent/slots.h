// A place for each job that runs: what its first process tells about itself, in memory that both share.
//
// A job's own program can't reach it: the mapping ends with exec. Thread: any.
#ifndef COFFER_AGENT_SLOTS_H
#define COFFER_AGENT_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

// Where a job's set-up stands. When it fails, this and errno are the reason.
enum agent_stage {
	STAGE_START,
	STAGE_CGROUP,
	STAGE_SCRATCH,
	STAGE_USER,
	STAGE_LIMITS,
	STAGE_DESCRIPTORS,
	STAGE_CAPABILITIES,
	STAGE_LANDLOCK,
	STAGE_SECCOMP,
	STAGE_PROGRAM, // exec
	STAGE_RUNNING,
	STAGE_ENDED, // `status` holds
};
const char *stage_name(enum agent_stage stage); // "the mount of the scratch directory"

struct agent_slot {
	enum agent_stage stage;
	int error;         // errno of the step that failed, or 0
	int status;        // of the program, as of wait4
	bool is_timed_out; // the wall-clock limit
	bool has_more;     // some processes would not die (`process` only)
	int64_t start_ns;  // clock_ns(), when the program began
};

struct agent_slots;
struct agent_slots *slots_new(unsigned n); // before the spawner is started; NULL: no memory to share
void slots_free(struct agent_slots *slots);
int slots_take(struct agent_slots *slots); // a cleared one, or -1: all are taken
void slots_give(struct agent_slots *slots, int slot);
volatile struct agent_slot *slots_at(struct agent_slots *slots, int slot);

#endif
