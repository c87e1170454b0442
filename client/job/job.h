// One compile, from the launcher's message to the stored result. The story is job_serve() in job.c; its steps are the files
// beside it, and each owns what it finds:
//
//   plan        what is asked for; const once made
//   lookup      the manifest, and why there was no hit
//   command     the command for the launcher
//   baseline    the file system as it was before the compiler began
//   away        a compile on another machine
//   same_text   a result whose text is the same for the compiler
//   inputs      what went in, and the names that must stay absent
//   precompiled headers among the inputs
//   wanted      files that are read if they are there
//   recheck     a hit that is compiled all the same
//   dates       whether __DATE__ reaches the compiler
//   publish     stores the result
//   deliver     writes the outputs of a hit
//   evidence    its row in the audit log
//   variants    earlier plans of the same translation unit, to explain a miss
//
// A job belongs to one thread, and what it needs lives in its arena. A step that finds a reason not to cache returns it as a
// refusal; the story then lets the launcher run the compiler untouched and counts the reason.
#ifndef COFFER_CLIENT_JOB_JOB_H
#define COFFER_CLIENT_JOB_JOB_H

#include "client/job/baseline.h"
#include "client/job/evidence.h"
#include "client/job/lookup.h"
#include "client/job/plan.h"
#include "client/job/publish.h"
#include "client/job/same_text.h"
#include "client/no_tree.h"
#include "client/services/journal.h"

// Whether anything of a job may stay on this machine when it is done.
enum keeping {
	KEEPING,
	KEEPING_NOT,           // the setting paranoid
	KEEPING_NOT_BY_POLICY, // the operator of the farm
};

// How a compile has gone away, and what that has cost here.
enum sent_as { SENT_NOT, SENT_TREE, SENT_TEXT };
struct sent {
	enum sent_as as;
	struct no_tree no_tree; // why not as a tree, where the settings want it
	uint64_t cpu_us, bytes;
};

struct job {
	int sock;
	struct arena arena;
	struct wire_job wire;
	struct plan plan;
	enum keeping keeping;
	struct lookup lookup;
	struct flight_member flight; // this job among equal ones of the same moment
	struct baseline baseline;
	struct compile_evidence evidence;
	int exit_status; // of the compiler that ran here
	struct same_text text;
	struct manifest_entry stored; // if is_stored
	bool is_stored;
	struct buf checked;    // what the hit would give out that is compiled all the same (recheck.h); empty: it is none
	bool made[PART_COUNT]; // the outputs that the launcher has now because of this job
	const struct sha256 *delivered[PART_COUNT]; // of the bytes that a worker made, if is_answered
	uint64_t wall_us;                           // of the compile, now or when it was stored
	struct digest result;                       // zero: none is known
	bool is_answered;                           // the launcher has got its result
	unsigned counted_in;                        // stats_renewed() when the compile was counted
	const char *follow; // how to get from the command to its compiler (follow.h); NULL: it is the compiler
	const char *worker; // that was asked last, or NULL
	struct sent sent;
	const char *doubted; // the worker whose compiler had something to say, or failed; or NULL
};

// Serves a launcher whose first message, a WIRE_JOB, has come.
void job_serve(struct services *services, int sock, const struct wire_msg *m);

// Where a compile runs: decided once by choose_where() in job.c, and by away_compile() for what was to go away.
enum where {
	HERE,           // at once: somebody else sees to the cores
	HERE_WITH_SLOT, // at once, on a core that was taken for it
	WAIT_FOR_HERE,  // once a core is free
	AWAY,           // on another machine, else here at once
	AWAY_OR_WAIT,   // on another machine, else once a core is free
	DONE_AWAY,      // it was compiled there, and the launcher has its answer
};

// For the steps that end a job (job.c, away.c).
bool job_stores(const struct job *j); // may its result be stored?
struct publication job_publication(const struct job *j);
void job_send_done(struct job *j, const struct wire_done *done);
bool job_tell(struct job *j, enum wire_type what); // WAIT or REMOTE; false: the launcher has gone

#endif
