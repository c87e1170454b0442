// One compile, from the launcher's message to the stored result. The story is job_serve() in job.c; its steps are here,
// a file each.
//
// A job belongs to one thread. Everything in it lives in its arena. A step that finds a reason not to cache returns it;
// the story then lets the launcher run the compiler untouched and counts the reason.
#ifndef COFFER_CLIENT_JOB_JOB_H
#define COFFER_CLIENT_JOB_JOB_H

#include "client/daemon/daemon.h"
#include "client/wire/wire.h"
#include "compiler/cmdline.h"
#include "depscan/manifest.h"

enum outcome { OUTCOME_NOT_CACHED, OUTCOME_DIRECT_HIT, OUTCOME_PREPROCESSED_HIT, OUTCOME_MISS };

// How the list of inputs of a compile is learned.
enum inputs_from {
	INPUTS_SOURCE_ONLY,  // nothing is included: .s, .i
	INPUTS_OUR_DEPFILE,  // -MD into a memory file, added by us
	INPUTS_USER_DEPFILE, // the user's -MD
	INPUTS_USER_MMD,     // the user's -MMD, and what the scanner reaches beyond it
};

// Whether anything of a job may stay on this machine when it is done.
enum keeping {
	KEEPING,
	KEEPING_NOT,           // the setting paranoid
	KEEPING_NOT_BY_POLICY, // the operator of the farm
};

struct job {
	struct daemon *d;
	int sock;
	int cwd_fd;
	struct arena arena;
	struct wire_job wire;
	const char *const *env; // the launcher's, filtered

	// understand.c
	const struct config *config;
	enum keeping keeping;
	const struct compiler *compiler;
	struct cmdline line;
	const char *culprit;    // what gave the reason not to cache, for the record; or NULL
	const char *cwd;        // tidy, as the compiler will name it
	const char *root;       // the build tree, tidy
	const char *root_real;  // the same without symlinks, or NULL if it is the same text
	bool reproducible;      // prefix maps are added, names below the root are canonical
	bool seed;              // -frandom-seed is added
	bool lto;               // -flto: the object is the compiler's own language, compressed
	const char *source;     // canonical name
	const char **canonical; // the words that count, as they stand in the key
	unsigned n_canonical;
	const char **key_env; // "NAME=value" of the environment that is in the key
	unsigned n_key_env;
	struct digest manifest_key;
	struct digest unit_key; // the translation unit whatever its arguments: for explanations
	struct digest messages_context;
	struct digest time_context; // zero: SOURCE_DATE_EPOCH is not set
	bool code_counts;           // comments can't change the result: preprocessed hits are possible
	enum inputs_from inputs_from;

	// lookup.c
	struct manifest *manifest;
	uint64_t epoch;          // of the watched folders, as the job was asked for; 0: none are
	struct cause cause;      // why there was no hit
	int64_t newest_input_ns; // the latest change of a file that was looked at

	// command.c
	int64_t start_ns;  // by the clock of file dates, before the compiler began
	struct ways *ways; // ways.h; NULL: the compiler does not tell

	// what is recorded
	enum outcome outcome;
	enum reason reason;
	uint64_t wall_us; // of the compile, now or when it was stored
	bool is_answered; // the launcher has got its result
	struct digest result;
};

void job_serve(struct daemon *d, int sock);

// understand.c: settings, compiler, command line, names, keys.
enum reason job_understand(struct job *j);
const char *job_canonical_path(struct job *j, const char *path); // below the build tree: PATH_TREE and the rest
const char *job_real_path(const struct job *j, struct arena *a, const char *canonical); // the way back

// lookup.c: 1 a hit (the entry and the result's bytes), 0 a miss with j->cause filled in.
int job_look_up(struct job *j, struct manifest_entry *entry, struct buf *result);

// Has the manifest many entries, so that new ones will push out old ones? And the key of the manifest for the source's very text.
bool job_is_crowded(const struct job *j);
int job_text_key(struct job *j, struct digest *key);

// deliver.c: writes the outputs of a result and rebuilds the depfile; -1 when something can't be written (the compiler then
// runs and meets the same trouble). The messages are returned as pointers into `result`.
int job_deliver(struct job *j, const struct manifest_entry *entry, const struct buf *result, struct wire_done *messages,
		struct err *err);

// command.c: the command the launcher shall run.
void job_make_command(struct job *j, struct wire_run *run);
// command.c: waits until the clock by which files are dated has moved past everything that is known to go in, so that a
// later change shows in the dates.
void job_wait_for_clock(struct job *j);

// publish.c: after the compiler has run. `fds` as in WIRE_RESULT.
enum reason job_publish(struct job *j, const struct wire_result *r, int fds[WIRE_MAX_FDS]);

// What another machine has made without messages: an object of n_object bytes and, where the compile has one, the .dwo behind it.
// publish.c; `entry` has the inputs.
enum reason job_publish_outputs(struct job *j, struct manifest_entry *entry, const struct buf *outputs, size_t n_object);
// deliver.c: in the compiler's own manner.
int job_write_outputs(const struct job *j, const struct buf *outputs, size_t n_object, struct err *err);

// remote.c: compiles on another machine, if there is one and it may. True: it is done, the launcher has its answer, and
// *reason says whether it was stored. False: compile here; *has_slot: a slot of this machine was taken for that.
bool job_compile_remotely(struct job *j, bool is_gated, bool *has_slot, enum reason *reason);
// remote.c: what the farm of this job wants to be kept goes into j->keeping. `ask`: a worker is asked where none has said anything
// yet, which takes some seconds at most.
void job_heed_policy(struct job *j, bool ask);
// status.c: answers to a CONTROL question, in the job's arena.
const char *status_lines(struct job *j);
const char *status_json(struct job *j, const char *environment);
// job.c
void job_send_done(struct job *j, const struct wire_done *done);
bool job_tell(struct job *j, enum wire_type what);                   // WAIT or REMOTE; false: the launcher has gone
const char *job_seed_word(struct job *j);                            // command.c
void job_prefix_maps(struct job *j, const char **argv, uint32_t *n); // command.c: at most 4 words

// inputs.c: all files that went into the compile, and the names that must stay absent.
enum reason job_find_inputs(struct job *j, int dep_fd, int asm_dep_fd, struct manifest_entry *entry);

// inputs.c: keeps a text that was compiled, for explanations (setting keep_texts).
void job_keep_text(struct job *j, const char *path, const struct digest *digest);

// Outputs of a compile by their place in the result blob.
enum part { PART_OBJECT, PART_DWO, PART_GCNO, PART_SU, PART_STDOUT, PART_STDERR, PART_COUNT };
const char *job_output_name(const struct job *j, enum part part); // NULL: this compile has no such output
struct digest job_result_key(const struct job *j, const struct manifest_entry *e);

#endif
