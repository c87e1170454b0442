// Which directories of input roots stay laid out in a session (agent/layers.h), so that the next action that has them copies nothing.
//
// A directory is known by its digest and the place where it stands. The second action that has it makes a layer of it, whole with all
// below; later ones have that layer. What is largest counts: within a layer nothing is looked at. A layer goes when its room is needed,
// the longest unused first, or when it was not used for a while. All of it is one tenant's, as a session is. Thread: any.
#ifndef COFFER_WORKER_LAYERS_H
#define COFFER_WORKER_LAYERS_H

#include "reapi/input_root.h"

enum { LAYERS_MOST = 60 }; // of one action

struct layers;
struct layers *layers_new(uint64_t max_bytes); // as laid out, in whole pages
void layers_free(struct layers *l);            // NULL is fine

// What one action does with them. Directories are counted in the order of a walk from the top, depth first.
struct layer;
struct layer_plan {
	struct layers *layers;
	struct planned_layer {
		struct layer *layer;
		const struct input_directory *directory;
		size_t place;     // of its directory in the walk
		const char *path; // "/a/b", or "" at the top; until the end
		size_t n_path;
		bool is_made; // by this action
	} all[LAYERS_MOST];
	size_t n, n_made;
	uint64_t ids[LAYERS_MOST], made[LAYERS_MOST]; // as the agent is told
	uint64_t *removed;
	size_t n_removed;
};
// Begins a plan, which layers_end() ends. `l` may be NULL: a plan without layers.
void layers_plan(struct layers *l, const struct input_root *root, struct layer_plan *plan);
// NULL: the directory at this place is no layer.
const struct planned_layer *layer_plan_at(const struct layer_plan *plan, size_t place);
// `has_run`: the agent has run the job, so that its layers are there.
void layers_end(struct layer_plan *plan, bool has_run);
// What the agent says of itself; until then no plan has layers. After a false there are none any more.
void layers_allow(struct layers *l, bool are_allowed);

struct layers_count {
	uint64_t bytes;
	size_t layers;
};
struct layers_count layers_count(struct layers *l);

#endif
