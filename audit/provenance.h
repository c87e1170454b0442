// Provenance of a compile, or of an action of the Remote Execution API: an in-toto statement (v1) with the SLSA provenance
// predicate (v1), made from rows of the audit log and signed as a DSSE envelope with the log's key. docs/audit.md says which
// field has what. Thread: any.
#ifndef COFFER_AUDIT_PROVENANCE_H
#define COFFER_AUDIT_PROVENANCE_H

#include "audit/dsse.h"
#include "audit/row.h"

#define PROVENANCE_PAYLOAD "application/vnd.in-toto+json"
#define PROVENANCE_BUILDER "urn:coffer:worker:" // and the log's origin; and the isolation, as each is another builder

// Of a compile of the user's own text, and of an action: what a row has no room for, as it was found by the row's key.
// Names of files are made one by one: all of them together can be many GiB.
struct provenance_tree {
	const char *directory;
	char *const *environment, *const *arguments;
	size_t n_environment, n_arguments;
	size_t n_files; // that the compiler could reach
	const void *files;
	const uint8_t *(*file)(const void *files, size_t i, struct buf *name); // adds its name; its SHA-256
	const struct provenance_output *outputs; // of an action, which the row names by one digest
	size_t n_outputs;
};
struct provenance_output {
	const char *name;
	uint8_t sha256[32];
};
// Most bytes of the statement that tell of files: fewer where the rest leaves less of DSSE_PAYLOAD_MAX. What has no room is counted in
// the source's annotations.
enum { PROVENANCE_FILE_BYTES = 512 * 1024 };

struct provenance {
	const struct audit_row *run; // that made the outputs
	uint64_t run_index;
	const struct audit_row *served; // the row of who got them, if that is another one; NULL
	uint64_t served_index;
	const char *origin;                 // of the log
	const struct provenance_tree *tree; // or NULL
	const char *builder;                // begins the builder's id; NULL: PROVENANCE_BUILDER and the origin
};
// Adds the statement as JSON, of DSSE_PAYLOAD_MAX bytes at most. ERR_FORMAT: the row has no outputs; ERR_LIMIT: it has no room.
int provenance_write(const struct provenance *p, struct buf *statement, struct err *err);

// What a signed statement says. The strings are in the arena.
struct provenance_said {
	const char *builder, *invocation, *finished, *toolchain, *source;
	struct provenance_subject {
		const char *name;
		uint8_t sha256[32];
	} * subjects;
	size_t n_subjects;
};
// ERR_FORMAT: it is no provenance that coffer has made; ERR_ACCESS: the key has not signed it.
int provenance_open(const char *envelope, size_t n, const char *verifier, struct arena *a, struct provenance_said *said,
		    struct err *err);
// The same of a statement whose signature was checked, or does not matter.
int provenance_read(const char *statement, size_t n, struct arena *a, struct provenance_said *said, struct err *err);

#endif
