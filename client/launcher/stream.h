// What the compiler prints, on its way through the launcher: to our own stdout or stderr at once, and into a memory file for
// the daemon. The compiler writes into a pipe, or into a pseudo-terminal where ours is a terminal, so that it sees what it
// would have seen (colours, width).
//
// At most one part of STREAM_PART bytes is under way, so memory is bounded, and a reader that is slow slows the compiler
// down as it would without us. Parts are as small as PIPE_BUF, so that a write after POLLOUT does not block.
#ifndef COFFER_CLIENT_LAUNCHER_STREAM_H
#define COFFER_CLIENT_LAUNCHER_STREAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_PART = 4096 };

struct output_stream {
	int from;      // what we read: end of a pipe, master of a terminal; -1 if it ended or was never there
	int child_end; // what the compiler gets; -1: it inherits ours
	int to;        // our own stdout or stderr
	int kept;      // memory file
	uint64_t n_kept, max_kept;
	bool overflow;   // not all is kept
	size_t at, have; // of `part`, what is still to be written
	char part[STREAM_PART];
};

int memory_file(void); // close-on-exec, empty; -1 if there is none

// -1 if what the compiler must see can't be had.
int stream_open(struct output_stream *s, int to, bool is_terminal, bool is_closed, uint64_t max_kept);
void stream_release(struct output_stream *s);
void stream_started(struct output_stream *s); // the compiler has its end now: closes ours
static inline bool stream_pending(const struct output_stream *s)
{
	return s->have > s->at;
}
struct pollfd stream_wants(const struct output_stream *s); // fd is -1 if it wants nothing
void stream_move(struct output_stream *s);                 // what it wanted can be done

#endif
