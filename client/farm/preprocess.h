// Runs the preprocessor here and takes in what it prints, as canonical text: hashed and compressed while it comes.
//
// Canonical means that the names in line markers are mapped as the compiler's own -ffile-prefix-map would map them later, so
// that two checkouts of one project send the same bytes. Thread: any.
#ifndef COFFER_CLIENT_FARM_PREPROCESS_H
#define COFFER_CLIENT_FARM_PREPROCESS_H

#include "base/buf.h"

#include <stdint.h>
#include <sys/types.h>

#define PREPROCESSED_MAX ((size_t)256 << 20) // bytes of text; more is ERR_LIMIT
#define PREPROCESS_LEVEL 3                   // zstd; bench/farm.md

struct preprocess {
	const char *program;
	const char *const *argv;
	const char *const *envp;
	int cwd_fd;
	mode_t umask;
	int time_limit_ms;
	// The build tree as it is named and without links; names below it become "./…", itself ".". Both may be NULL.
	const char *roots[2];
	const char
		*up; // names below them become this and the rest ("../"), and the working directory "./…"; NULL: all "./…"

	// filled in
	int status;        // as of waitpid
	bool has_messages; // it said something on stderr
	bool has_columns; // the text asks for its columns (std::source_location), which are other ones in it than in the user's
	uint8_t sha256[32];    // of the canonical text
	uint64_t size;         // of the text
	uint64_t cpu_us;       // the preprocessor's
	struct buf compressed; // one zstd frame
};
// 0: the program has run, whatever its status.
int preprocess_run(struct preprocess *p, struct err *err);
void preprocess_release(struct preprocess *p);

// Maps the names in one line, if it is a line marker; else the line as it is. `line` may have its '\n'.
void preprocess_map_line(const char *const roots[2], const char *up, const char *line, size_t n, struct buf *out);

#endif
