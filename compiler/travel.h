// Which words of a compile go along to another machine: those that say how preprocessed text is compiled. What the
// preprocessor has used already (-I, -D, -include…) stays here; what may read a file or mean something else there keeps the
// whole compile here.
#ifndef COFFER_COMPILER_TRAVEL_H
#define COFFER_COMPILER_TRAVEL_H

#include "compiler/cmdline.h"
#include "compiler/compiler.h"

struct travel_arguments {
	const char **arguments; // in the arena
	unsigned n;
	const char *language; // of the preprocessed text, for -x
	const char *suffix;
	const char *native[3]; // gcc's -march=native and -mtune=native, taken out of `words`: what they mean is asked here
	unsigned n_native, native_at; // where in `words` their meaning belongs
	const char *refused;          // why the compile stays here, or NULL
};
void travel_arguments(struct travel_arguments *w, struct arena *a, const struct cmdline *line,
		      const struct compiler *compiler);

// Whether a worker can make an object and its .dwo under their names, of which the object has one in it: relative, plain.
enum { REMOTE_OUTPUT_NAME = 512 };
bool travel_output_name(const char *output, const char *dwo);

// The words of a `cc1` line that say what machine it is for: "-march=…", "-m…", "--param l1-cache-size=32" as "--param=…".
// At most `room`; 0 if there is no such line.
unsigned travel_native(const char *verbose, struct arena *a, const char **out, unsigned room);
// Puts them where the native words stood.
void travel_resolve_native(struct travel_arguments *w, struct arena *a, const char *const *meaning, unsigned n);

// The command that preprocesses: the user's words without -c and -o, what `extra` holds before them (NULL-terminated), and
// the depfile by its full name. `depfile` NULL: the user's own.
const char **travel_preprocess(struct arena *a, const struct cmdline *line, const char *argv0, const char *const *extra,
			       const char *depfile);

// The words for a worker that compiles the user's own text: `own` first (NULL-terminated), then the user's, with response files
// expanded. Returns why the compile can't go in this way, or NULL.
const char *travel_tree(struct arena *a, const struct cmdline *line, const struct compiler *compiler, const char *const *own,
			const char ***words, unsigned *n);
// With the user's own text: whether a variable of the environment ("NAME=value") goes along. It does if it is for messages, or says
// where headers are or what the time is.
bool travel_variable(const char *word);
// One that does not and that changes what is made, so that the compile stays here; or NULL.
const char *travel_bound_variable(const char *const *env);

#endif
