// What one compiler command met where it looked: for each name whether it was absent, a file or a directory. Remembered
// between jobs, so that a compile of hundreds of headers asks the file system for little more than what has changed.
//
// A name is looked up again when the directory that it stands in is not the same as then, or was changed since, or was young
// then (files.h: FILES_AGE_FLOOR_NS), and always when it is a symlink. Names that were absent in a directory that the build
// writes to are not looked up again while a directory watch tells of none of them. Belongs to one search and working directory
// (search.h). Thread: one at a time, between path_cache_begin and path_cache_end.
#ifndef COFFER_DEPSCAN_PATH_CACHE_H
#define COFFER_DEPSCAN_PATH_CACHE_H

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/hash.h"
#include "depscan/directory_watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum presence {
	PLACE_ABSENT,
	PLACE_FILE,
	PLACE_DIRECTORY,
	PLACE_UNCLEAR, // can't be looked at: no permission, a circle of links
};

struct path_place {
	const char *path; // tidy; relative to the working directory or absolute
	enum presence presence;
	// What the user of this module notes of a place, by the number of the job.
	uint64_t input_job, listed_job, asked_job, present_job;
	// And of the text that lies there: what was worked out from the one with this digest, `kind` says for whom.
	const void *answer;
	struct digest answered;
	unsigned answer_kind;

	struct path_place *parent; // NULL: the working directory, or "/"
	bool is_link;
	uint64_t looked;  // the last job that looked
	uint64_t changed; // of a directory: the last job that saw it changed or young
	uint64_t stamp;   // of a directory: the watch's; of an absent name: the directory's as it was looked for; 0: none
	struct file_id id;
};

struct path_cache {
	uint64_t job;                     // the number of this one, from 1, among those of all caches
	uint64_t since;                   // what was looked at by this job or a later one is not looked at again
	struct directory_watch *arrivals; // of this job; NULL: there is none
	struct map known;
	struct map answers; // for the user of this module: what was worked out from the places; in the arena
	struct arena arena;
	int cwd_fd;
};

// As the beginning of a name: any name that ends like this one. No file is named so.
#define PATH_CACHE_ANY "*?"
bool path_cache_any_ends(int cwd_fd, const char *dir, const char *suffix); // true in doubt

struct shared_places; // for many threads; counted
struct shared_places *path_cache_new(void);
struct shared_places *path_cache_ref(struct shared_places *s);
void path_cache_unref(struct shared_places *s); // NULL is fine
// `since`: the number of an earlier job whose view of the places is to hold, or 0. `arrivals`: read already, or NULL.
struct path_cache *path_cache_begin(struct shared_places *s, int cwd_fd, uint64_t since, struct directory_watch *arrivals);
void path_cache_end(struct shared_places *s);
size_t path_cache_bytes(struct shared_places *s); // the memory it took when it was last used

// The place of this name, as far as it is known: not looked at.
struct path_place *path_cache_get(struct path_cache *p, const char *tidy);
// The same as it is now.
struct path_place *path_cache_look(struct path_cache *p, const char *tidy);
void place_refresh(struct path_cache *p, struct path_place *place); // makes it as it is now
// The deepest directory above an absent place that is there; NULL: the working directory or "/".
struct path_place *place_anchor(struct path_cache *p, struct path_place *absent);

#endif
