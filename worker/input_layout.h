// An input root as the bytes of trees (agent/tree.h), made piece by piece while the agent takes them: each layer that is made, then all
// that is in no layer. Thread: one.
#ifndef COFFER_WORKER_INPUT_LAYOUT_H
#define COFFER_WORKER_INPUT_LAYOUT_H

#include "worker/layers.h"

#include <sys/types.h>

struct input_layout {
	const struct input_root *root;
	const struct layer_plan *plan;
	input_get_fn get; // a file's bytes
	void *ctx;
	struct input_layout_place {
		const struct input_directory *directory;
		size_t file, link, child;
	} stack[INPUT_MAX_DEPTH + 2];
	int depth;
	size_t next_layer; // of plan->all, to be made
	size_t n_places;   // directories of the rest that were met
	size_t n_above;    // directories above the layer
	bool is_rest;
	struct buf ready; // made and not taken
	size_t taken;
};

void input_layout_init(struct input_layout *l, const struct input_root *root, const struct layer_plan *plan,
		       input_get_fn get, void *ctx);
void input_layout_release(struct input_layout *l);
ssize_t input_layout_read(void *layout, void *to, size_t room, struct err *err); // a job_read_fn

#endif
