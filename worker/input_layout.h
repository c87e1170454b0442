// An input root as the bytes of a tree (agent/tree.h), made piece by piece while the agent takes them. Thread: one.
#ifndef COFFER_WORKER_INPUT_LAYOUT_H
#define COFFER_WORKER_INPUT_LAYOUT_H

#include "reapi/input_root.h"

#include <sys/types.h>

struct input_layout {
	const struct input_root *root;
	input_get_fn get; // a file's bytes
	void *ctx;
	struct input_layout_place {
		const struct input_directory *directory;
		size_t file, link, child;
	} stack[INPUT_MAX_DEPTH + 2];
	int depth;
	struct buf ready; // made and not taken
	size_t taken;
};

void input_layout_init(struct input_layout *l, const struct input_root *root, input_get_fn get, void *ctx);
void input_layout_release(struct input_layout *l);
ssize_t input_layout_read(void *layout, void *to, size_t room, struct err *err); // a job_read_fn

#endif
