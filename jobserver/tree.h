// How many slots the processes of a build really use, by /proc: for the case that a make was killed and took its tokens
// with it, which nobody ever gives back.
//
// A client of the jobserver (the tool, and every make, ninja or cargo below it) has one slot for each job, and a job is a
// child of it that has no client below; a client without children has the one it was started with. It is a snapshot: a
// token may just be on its way, and a make that waits for the load to fall (-l) or a cargo holds more than it uses. So it
// is asked only when a build stands still, and believed only when it says the same twice. Thread: any.
#ifndef COFFER_JOBSERVER_TREE_H
#define COFFER_JOBSERVER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tree_process {
	pid_t pid, parent;
	bool is_client, has_children, has_client; // has_client: somewhere below
};
struct tree {
	struct tree_process *v; // sorted by pid
	size_t n;
	pid_t tool;
};

enum { TREE_MOST_PROCESSES = 100000 };

bool tree_read(struct tree *t, pid_t tool); // false: /proc cannot be read
// How many of the processes above `pid` and below the tool are clients of a jobserver.
unsigned tree_clients_above(const struct tree *t, pid_t pid);
void tree_release(struct tree *t);
// Puts processes into an empty tree, for tests: `name` as in /proc/PID/comm. Then tree_link().
void tree_add(struct tree *t, pid_t pid, pid_t parent, const char *name);
void tree_link(struct tree *t);

unsigned tree_slots(const struct tree *t);
bool tree_is_below(const struct tree *t, pid_t pid); // is it the tool or one of its descendants?

#endif
