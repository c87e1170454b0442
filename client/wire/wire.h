// The local protocol between launcher and daemon, over a unix stream socket.
//
// A message is a header of 12 bytes (magic, type, length) and a payload of base/buf.h fields; descriptors ride on its
// first byte. The launcher opens with JOB and the daemon answers with exactly one of DONE, RUN, EXEC, FOLLOW, AGAIN or ELSEWHERE; before that it may
// say WAIT and REMOTE, any number of times. After RUN the
// launcher compiles and sends RESULT; where the compile succeeded it then waits for RELEASED, which the daemon sends when
// it has read what it needs, and ends. CONTROL asks the daemon something and is answered by TEXT. Any other order, a wrong
// magic or a length past the limit ends the connection.
// The protocol's version is part of the socket's name and of the magic, so two versions never meet by accident.
// Built into both programs: needs no library. Thread: any.
#ifndef COFFER_CLIENT_WIRE_WIRE_H
#define COFFER_CLIENT_WIRE_WIRE_H

#include "base/buf.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define WIRE_MAGIC 0x32666f63u // "cof2"
#define WIRE_MAX_PAYLOAD ((size_t)32 << 20)
#define WIRE_MAX_FDS 4
#define WIRE_MAX_WORDS 262144u
#define WIRE_TIMEOUT_S 2 // of a connected socket: how long one send or receive may stand still

enum wire_type {
	WIRE_JOB = 1, // launcher: a compile; fds: working directory (O_PATH)
	WIRE_DONE,    // daemon: outputs are written; fds: file with stdout and stderr if they are long
	WIRE_RUN,     // daemon: run this command and send RESULT
	WIRE_EXEC, // daemon: run the original command untouched; the text says why, and in a second line what to tell the user
	WIRE_RESULT,   // launcher: the compiler ended; fds: stdout, stderr, depfile, assembler's depfile
	WIRE_RELEASED, // daemon: all is read
	WIRE_CONTROL,  // a verb: "status", "stop", or STATUS_JSON and the environment's settings, a line each
	WIRE_TEXT,     // daemon: the answer
	WIRE_WAIT,     // daemon: the job waits for its turn; at least every two seconds while it does
	WIRE_REMOTE,   // daemon: as WAIT, and the compile is on another machine: this one has a core more
	WIRE_AGAIN,    // daemon: it listens no more; the next one is to be started and asked
	WIRE_FOLLOW, // daemon: run the original command with a library that finds the compiler behind it: the text's first line; the rest is its name
	WIRE_ELSEWHERE, // daemon: the launcher is in another world (place.h); a daemon of that one is to be asked
};

#define STATUS_JSON "status-json\n"

struct wire_msg {
	enum wire_type type;
	struct buf payload;
	int fds[WIRE_MAX_FDS];
	unsigned n_fds;
};
#define WIRE_MSG_INIT                            \
	{                                        \
		0, BUF_INIT, {-1, -1, -1, -1}, 0 \
	}
void wire_msg_release(struct wire_msg *m); // closes the descriptors that are still in it
#define AUTO_MSG __attribute__((cleanup(wire_msg_release)))

// One message. Sending does not close the descriptors; `payload` may be NULL. Receiving replaces what is in *m, and blocks
// as the socket's timeouts say: ERR_TIMEOUT means that nothing at all came, so that one may wait again. A connection that
// is closed, or stands still in the middle of a message, is ERR_PEER; nonsense is ERR_FORMAT or ERR_LIMIT.
// Received descriptors are close-on-exec.
int wire_send(int sock, enum wire_type type, const struct buf *payload, const int *fds, unsigned n_fds, struct err *err);
int wire_recv(int sock, struct wire_msg *m, struct err *err);

// What wire_get_* returns: words are '\0'-terminated copies in the arena; a word with a '\0' in it, a count that the
// payload can't hold, bytes left over at the end are ERR_FORMAT.

// ---- JOB ----
enum {
	JOB_STDERR_TTY = 1, // standard error is a terminal
	JOB_STDOUT_TTY = 2,
	JOB_STDIN_TTY = 4,
	JOB_HAS_NO_OTHER = 8, // there can be no daemon in the launcher's world: EXEC instead of ELSEWHERE
};
struct wire_job {
	uint32_t umask, flags, columns; // columns of the terminal, 0 if none
	const char *cwd;                // absolute: $PWD if it names the working directory, else getcwd()
	const char *compiler;           // the real compiler's file, absolute
	const char **argv;              // as the user typed it, argv[0] the compiler's name; NULL-terminated; never empty
	const char **env;               // those in env_names.h of the variables that the compiler gets; NULL-terminated
	uint32_t n_argv, n_env;
	const char **set; // --set words; NULL-terminated
	uint32_t n_set;
};
void wire_put_job(struct buf *b, const struct wire_job *j);
int wire_get_job(struct wire_job *j, struct arena *a, const struct buf *payload, struct err *err);

// ---- DONE: exit status, then stdout and stderr (inline, or in a file that comes as descriptor) ----
struct wire_done {
	uint32_t exit_code; // 0 to 255
	bool in_file;       // the bytes are in the file: stdout first, from its beginning
	const char *out, *errs;
	uint32_t n_out, n_errs;
};
void wire_put_done(struct buf *b, const struct wire_done *d);
// `out` and `errs` point into the payload.
int wire_get_done(struct wire_done *d, const struct buf *payload, struct err *err);

// ---- RUN: the command with the daemon's additions ----
enum { RUN_DEPFILE = 1 /* a memory file for a depfile */, RUN_ASM_DEPFILE = 2 };
struct wire_run {
	uint32_t flags;
	uint32_t depfile_word, asm_depfile_word; // the argv words that get "/dev/fd/N" appended
	uint64_t max_messages;                   // bytes of stdout or stderr that are kept at most
	const char **argv;                       // never empty; argv[0] is chosen by the launcher
	uint32_t n_argv;
};
void wire_put_run(struct buf *b, const struct wire_run *r);
int wire_get_run(struct wire_run *r, struct arena *a, const struct buf *payload, struct err *err);

// ---- RESULT ----
// The files are read from their beginning (their position is 0).
struct wire_result {
	uint32_t status;   // as of waitpid
	uint32_t overflow; // 1: the kept messages are not all there were (longer than max_messages, or could not be kept)
	uint64_t start_ns; // before the compiler started, on the clock of file times (CLOCK_REALTIME_COARSE)
	uint64_t wall_us;
	uint32_t has; // RUN_DEPFILE, RUN_ASM_DEPFILE: which descriptors follow stdout and stderr
};
void wire_put_result(struct buf *b, const struct wire_result *r);
int wire_get_result(struct wire_result *r, const struct buf *payload, struct err *err);

// EXEC, FOLLOW, CONTROL and TEXT carry one string.
void wire_put_text(struct buf *b, const char *s);
const char *wire_get_text(struct arena *a, const struct buf *payload, struct err *err);

#endif
