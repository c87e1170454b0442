// The local protocol between launcher and daemon, over a unix stream socket.
//
// A message is a header of 12 bytes (magic, type, length) and a payload of base/buf.h fields; descriptors ride on its first byte. The
// launcher opens: JOB. The daemon answers with exactly one of DONE, RUN, EXEC or REFUSED. After RUN the launcher compiles and sends
// RESULT, and the daemon answers RELEASED when it has read what it needs (the launcher then ends). CONTROL asks the daemon
// something and is answered by TEXT. Any other order, a wrong magic or a length past the limit ends the connection.
// The protocol's version is part of the socket's name and of the magic, so two versions never meet by accident.
// Built into both programs: needs no library. Thread: any.
#ifndef COFFER_CLIENT_WIRE_H
#define COFFER_CLIENT_WIRE_H

#include "base/buf.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

#define WIRE_MAGIC 0x31666f63u // "cof1"
#define WIRE_MAX_PAYLOAD ((size_t)32 << 20)
#define WIRE_MAX_FDS 4
#define WIRE_MAX_WORDS 262144u

enum wire_type {
	WIRE_JOB = 1,  // launcher: a compile; fds: working directory
	WIRE_DONE,     // daemon: outputs are written; fds: file with stdout and stderr if they are long
	WIRE_RUN,      // daemon: run this command and send RESULT
	WIRE_EXEC,     // daemon: run the original command untouched
	WIRE_RESULT,   // launcher: the compiler ended; fds: stdout, stderr, depfile, assembler's depfile
	WIRE_RELEASED, // daemon: all is read
	WIRE_CONTROL,  // a verb: "status", "stop"
	WIRE_TEXT,     // daemon: the answer
};

struct wire_msg {
	enum wire_type type;
	struct buf payload;
	int fds[WIRE_MAX_FDS];
	unsigned n_fds;
};
#define WIRE_MSG_INIT {0, BUF_INIT, {-1, -1, -1, -1}, 0}
void wire_msg_release(struct wire_msg *m); // closes the descriptors that are still in it
#define AUTO_MSG __attribute__((cleanup(wire_msg_release)))

// One message. Sending does not close the descriptors. Receiving blocks as the socket's timeouts say (ERR_TIMEOUT);
// a closed connection is ERR_PEER, nonsense ERR_FORMAT or ERR_LIMIT.
int wire_send(int sock, enum wire_type type, const struct buf *payload, const int *fds, unsigned n_fds, struct err *err);
int wire_recv(int sock, struct wire_msg *m, struct err *err);

// ---- JOB ----
enum {
	JOB_STDERR_TTY = 1, // standard error is a terminal
	JOB_STDOUT_TTY = 2,
	JOB_STDIN_TTY = 4,
};
struct wire_job {
	uint32_t umask, flags, columns; // columns of the terminal, 0 if none
	const char *cwd;                // $PWD if it names the working directory, else getcwd()
	const char *compiler;           // the real compiler's file, absolute
	const char **argv;              // as the user typed it, argv[0] the compiler's name; NULL-terminated
	const char **env;               // NAME=value of the variables in env_names.h; NULL-terminated
	uint32_t n_argv, n_env;
	const char **set; // --set words; NULL-terminated
	uint32_t n_set;
};
void wire_put_job(struct buf *b, const struct wire_job *j);
int wire_get_job(struct wire_job *j, struct arena *a, const struct buf *payload, struct err *err);

// ---- DONE: exit status, then stdout and stderr (inline, or lengths in a file that comes as descriptor) ----
struct wire_done {
	uint32_t exit_code;
	const char *out, *errs;
	uint32_t n_out, n_errs;
};
void wire_put_done(struct buf *b, const struct wire_done *d);
int wire_get_done(struct wire_done *d, struct arena *a, const struct buf *payload, struct err *err);

// ---- RUN: the command with the daemon's additions ----
enum { RUN_DEPFILE = 1 /* a memory file for a depfile */, RUN_ASM_DEPFILE = 2 };
struct wire_run {
	uint32_t flags;
	uint32_t depfile_word, asm_depfile_word; // the argv words that get "/dev/fd/N" appended
	uint64_t max_messages;                   // bytes of stdout or stderr that are kept at most
	const char **argv;
	uint32_t n_argv;
};
void wire_put_run(struct buf *b, const struct wire_run *r);
int wire_get_run(struct wire_run *r, struct arena *a, const struct buf *payload, struct err *err);

// ---- RESULT ----
struct wire_result {
	uint32_t status;   // as of waitpid
	uint32_t overflow; // 1: messages were longer than max_messages
	uint64_t start_ns; // CLOCK_REALTIME before the compiler started
	uint64_t wall_us;
	uint32_t has; // RUN_DEPFILE, RUN_ASM_DEPFILE: which descriptors follow stdout and stderr
};
void wire_put_result(struct buf *b, const struct wire_result *r);
int wire_get_result(struct wire_result *r, const struct buf *payload, struct err *err);

// EXEC and CONTROL and TEXT carry one string.
void wire_put_text(struct buf *b, const char *s);
const char *wire_get_text(struct arena *a, const struct buf *payload, struct err *err);

// Where the socket is: `dir` (0700) and the name inside it. The name covers version, cache folder and configuration, so
// that each combination has its own daemon. Environment: COFFER_RUNTIME_DIR, else XDG_RUNTIME_DIR/coffer, else below the cache folder.
// false if neither is known (no HOME).
struct wire_place {
	char *dir, *name; // in the arena
};
bool wire_find_place(struct wire_place *p, struct arena *a, const char *(*env)(void *, const char *), void *ctx);
// connect(2) or bind(2)+listen(2) there, also where the path is longer than a unix address holds. -1 with errno.
int wire_connect(const struct wire_place *p);
int wire_listen(const struct wire_place *p);

#endif
