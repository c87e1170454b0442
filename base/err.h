// Errors as values: a function that can fail takes a `struct err *` as its last parameter and returns 0 or -1.
//
// The text says what failed and on what ("cannot open '/x/y': Permission denied"), lower case, no full stop. The code is
// chosen by what the caller does about it, not by where it happened. An expected answer is no error: a look-up returns
// 1 (found), 0 (not there) or -1 (error). Library code never prints; the top of a program or of a job does.
// `err` may be NULL where the caller does not care why. Thread: any; a struct err belongs to one thread.
#ifndef COFFER_BASE_ERR_H
#define COFFER_BASE_ERR_H

enum err_code {
	ERR_NONE = 0,
	ERR_USAGE,     // the user's words are wrong: tell the user
	ERR_FORMAT,    // bytes from outside do not parse: drop them
	ERR_LIMIT,     // a documented limit was passed: refuse
	ERR_NOT_FOUND, // the thing named does not exist
	ERR_ACCESS,    // permission or ownership
	ERR_FULL,      // no space, quota, descriptors or read-only: go on without storing
	ERR_TIMEOUT,   // a bound on time passed
	ERR_PEER,      // the other side hung up or broke the protocol
	ERR_BUSY,      // somebody else has it: use another one, or wait
	ERR_IO,        // any other failed system call
};

struct err {
	enum err_code code;
	int sys; // errno of the system call that failed, or 0
	char text[512];
};

#define ERR_INIT                \
	{                       \
		ERR_NONE, 0, "" \
	}

// All four return -1, so that a failure is one line: `return err_set(err, ...)`.
int err_set(struct err *err, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// Appends ": strerror(errno)" and picks the code by errno.
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Puts "text: " before the error that is already there.
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The error is that of a step whose own the caller had to look at first.
int err_take(struct err *err, const struct err *why);
void err_clear(struct err *err);

#endif
