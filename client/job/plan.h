// What a launcher has asked for, understood: compiler, arguments, names and keys. Const once it is made, so that nothing
// that is in a key can change under a job. Everything lives in the job's arena. Thread: the job's.
#ifndef COFFER_CLIENT_JOB_PLAN_H
#define COFFER_CLIENT_JOB_PLAN_H

#include "client/services/services.h"
#include "client/wire/wire.h"
#include "compiler/cmdline.h"
#include "compiler/refusal.h"

// How the list of inputs of a compile is learned.
enum inputs_from {
	INPUTS_SOURCE_ONLY,  // nothing is included: .s, .i
	INPUTS_OUR_DEPFILE,  // -MD into a memory file, added by us
	INPUTS_USER_DEPFILE, // the user's -MD
	INPUTS_USER_MMD,     // the user's -MMD, and what the scanner reaches beyond it
};

// What names a prefix map changes.
enum map_aspect { MAPS_MACROS = 1, MAPS_DEBUG = 2, MAPS_ALL = 3 };

struct plan {
	// What the launcher sent.
	struct services *services;
	struct arena *arena;
	const struct wire_job *wire;
	const char *const *env; // the launcher's, filtered
	int cwd_fd;

	uint64_t epoch; // of the watched directories, as the job was asked for; 0: none are

	// What it means.
	const struct settings *config; // NULL: the settings could not be read
	const struct compiler *compiler;
	struct view *view;       // what it looks at besides the unit; NULL: that can't be observed here
	struct digest toolchain; // of both
	struct cmdline line;
	const char *cwd;       // tidy, as the compiler will name it
	const char *root;      // the build tree, tidy
	const char *root_real; // the same without symlinks, or NULL if it is the same text
	bool reproducible;     // prefix maps are added, names below the root are canonical
	unsigned users_maps;   // enum map_aspect: where a map of the user's own is for the whole tree, and ours steps back
	// Where debug information is made in a directory below the build tree, names in it are relative to that directory, as
	// debuggers take them: how the tree is named from there ("../"), and how the directory is from the tree ("./build"). Else
	// NULL, and the tree is "./".
	const char *debug_up, *debug_dir;
	bool seed;              // -frandom-seed is added
	bool lto;               // -flto: the object is the compiler's own language, compressed
	const char *source;     // canonical name
	const char **canonical; // the arguments that count, as they stand in the key
	unsigned n_canonical;
	const char **key_env; // "NAME=value" of the environment that is in the key
	unsigned n_key_env;
	struct digest manifest_key;
	struct digest unit_key; // the translation unit whatever its arguments: for explanations
	struct digest messages_context;
	struct digest place;        // where a result belongs to that has the build tree's name in it
	struct digest time_context; // zero: SOURCE_DATE_EPOCH is not set
	bool code_counts;           // comments can't change the result: preprocessed hits are possible
	bool text_counts;           // what the preprocessor prints tells what the result is (same_text.h)
	enum inputs_from inputs_from;
};

// Settings, compiler, command line, names, keys. The first part of `p`, what the launcher sent, is filled in already. A
// refusal: what follows from it for the record may be there (config, cwd, line.source), and the rest is not promised.
struct refusal plan_make(struct plan *p);
void plan_release(struct plan *p);

// All that is in the manifest's key but the toolchain, as bytes: the same for the same compile on any machine.
void plan_key_fields(const struct plan *p, struct buf *b);

// The same without what only the preprocessor uses (-D, -I, -include…).
void plan_compile_fields(const struct plan *p, struct buf *b);

// The rest of an absolute path below the build tree, by either of its names, "." for the tree itself; NULL: it is elsewhere.
const char *plan_below_root(const struct plan *p, const char *path);
const char *plan_canonical_path(const struct plan *p, const char *path); // below the build tree: PATH_TREE and the rest
const char *plan_canonical_in(const struct plan *p, struct arena *a, const char *path); // for another thread than the job's
const char *plan_real_path(const struct plan *p, struct arena *a, const char *canonical); // the way back

// clang's precompiled headers hold the times of their files, and are refused by it once these change: ours hold none.
bool plan_adds_no_timestamp(const struct plan *p);

const char *plan_locale(const struct plan *p,
			const char *category); // of the user's environment: "LC_MESSAGES" -> "de_DE.UTF-8"

bool plan_has_depfile(const struct plan *p); // false: none is asked for, or it goes to /dev/null
bool plan_has_object(const struct plan *p);  // false: messages are all that comes of it

// What comes of a compile. The numbers are in stored results: new ones come last.
enum part {
	PART_OBJECT,
	PART_DWO,
	PART_GCNO,
	PART_SU,
	PART_STDOUT,
	PART_STDERR,
	PART_SERIALIZED,
	PART_REMARKS,
	PART_CALLGRAPH,
	PART_LISTING,
	PART_DDI,
	PART_COUNT
};
static inline bool part_is_message(enum part part)
{
	return part == PART_STDOUT || part == PART_STDERR;
}
const char *plan_output_name(const struct plan *p, enum part part); // NULL: this compile has no such file
// Whether the compiler may leave out a file that plan_output_name() names.
bool plan_output_may_be_missing(const struct plan *p, enum part part);
// Are these the files of this compile, no more and no fewer?
bool plan_outputs_fit(const struct plan *p, const bool has[PART_COUNT]);

// The data file that gcc's -fprofile-use reads, whether it is there or not. NULL: there is none.
const char *plan_profile_data(const struct plan *p);

#endif
