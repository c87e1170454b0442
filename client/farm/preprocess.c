#include "client/farm/preprocess.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/zstd.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024, LINE_MAX_BYTES = 1 << 20, END_MS = 10000 /* after it has closed its streams */ };

// Where the text goes.
struct sink {
	char tail[32]; // the end of what has come, for names that are cut
	size_t n_tail;
	struct preprocess *p;
	EVP_MD_CTX *hash;
	ZSTD_CCtx *zstd;
	struct buf line; // what has come of a line that begins with '#' and has not ended
	bool in_text;    // in the middle of any other line
	struct buf mapped;
};

// ---- canonical text ---------------------------------------------------------------------------------------------------

// What the name begins with instead of its first *skip bytes; NULL: it is not below a root. A marker of the working directory
// ends with "//".
static const char *below(const char *const roots[2], const char *up, const char *name, size_t n, size_t *skip)
{
	bool is_directory = n > 2 && memcmp(name + n - 2, "//", 2) == 0;
	for (int i = 0; i < 2; i++) {
		size_t len = roots[i] ? strlen(roots[i]) : 0;
		if (!len || n <= len || memcmp(name, roots[i], len) != 0 || name[len] != '/')
			continue;
		*skip = len;
		if (!up || is_directory)
			return ".";
		*skip = len + 1;
		return up;
	}
	return NULL;
}

void preprocess_map_line(const char *const roots[2], const char *up, const char *line, size_t n, struct buf *out)
{
	size_t at = 2, skip;
	bool marker = n > 4 && line[0] == '#' && line[1] == ' ';
	while (marker && at < n && line[at] >= '0' && line[at] <= '9')
		at++;
	marker = marker && at > 2 && at + 2 < n && line[at] == ' ' && line[at + 1] == '"';
	const char *name = line + at + 2;
	const char *end = marker ? memchr(name, '"', n - at - 2) : NULL;
	const char *to = end ? below(roots, up, name, (size_t)(end - name), &skip) : NULL;
	if (!to) {
		buf_add(out, line, n);
		return;
	}
	buf_add(out, line, at + 2);
	buf_adds(out, to);
	buf_add(out, name + skip, n - at - 2 - skip);
}

// ---- hash and compress ------------------------------------------------------------------------------------------------

static int compress(struct sink *s, const void *bytes, size_t n, ZSTD_EndDirective how, struct err *err)
{
	struct buf *to = &s->p->compressed;
	ZSTD_inBuffer in = {bytes, n, 0};
	size_t left;
	do {
		char *room = buf_room(to, ZSTD_CStreamOutSize());
		if (!room)
			return buf_check(to, "the compressed text", err);
		ZSTD_outBuffer out = {room, ZSTD_CStreamOutSize(), 0};
		left = ZSTD_compressStream2(s->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return err_set(err, ERR_IO, "cannot compress: %s", ZSTD_getErrorName(left));
		buf_grew(to, out.pos);
	} while (how == ZSTD_e_end ? left != 0 : in.pos < in.size);
	return 0;
}

static bool names_columns(const char *bytes, size_t n)
{
	static const char *const names[] = {"__builtin_COLUMN", "__builtin_source_location"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (memmem(bytes, n, names[i], strlen(names[i])))
			return true;
	return false;
}

// Also where a name is cut between two pieces.
static void look_for_columns(struct sink *s, const char *bytes, size_t n)
{
	enum { OVERLAP = sizeof s->tail };
	char joint[2 * OVERLAP];
	size_t head = n < OVERLAP ? n : OVERLAP;
	memcpy(joint, s->tail, s->n_tail);
	memcpy(joint + s->n_tail, bytes, head);
	s->p->has_columns |= names_columns(bytes, n) || names_columns(joint, s->n_tail + head);
	size_t all = s->n_tail + head, keep = n >= OVERLAP ? OVERLAP : all < OVERLAP ? all : OVERLAP;
	memmove(s->tail, n >= OVERLAP ? bytes + n - keep : joint + all - keep, keep);
	s->n_tail = keep;
}

static int take(struct sink *s, const void *bytes, size_t n, bool is_last, struct err *err)
{
	look_for_columns(s, bytes, n);
	s->p->size += n;
	if (s->p->size > PREPROCESSED_MAX)
		return err_set(err, ERR_LIMIT, "the preprocessed text is too long");
	EVP_DigestUpdate(s->hash, bytes, n);
	return compress(s, bytes, n, is_last ? ZSTD_e_end : ZSTD_e_continue, err);
}

// Line markers are mapped once they are whole; everything else goes on as it comes.
static int take_text(struct sink *s, const char *bytes, size_t n, bool is_last, struct err *err)
{
	if (!s->p->roots[0] && !s->p->roots[1])
		return take(s, bytes, n, is_last, err);
	buf_clear(&s->mapped);
	for (const char *end = bytes + n; bytes < end;) {
		const char *eol = memchr(bytes, '\n', (size_t)(end - bytes));
		size_t len = (size_t)((eol ? eol + 1 : end) - bytes);
		if (s->in_text || (!s->line.len && bytes[0] != '#')) {
			buf_add(&s->mapped, bytes, len);
			s->in_text = !eol;
		} else {
			buf_add(&s->line, bytes, len);
			if (eol) {
				preprocess_map_line(s->p->roots, s->p->up, s->line.data, s->line.len, &s->mapped);
				buf_clear(&s->line);
			}
		}
		bytes += len;
	}
	if (buf_check(&s->line, "a line marker", err) < 0)
		return -1;
	if (is_last)
		buf_add(&s->mapped, s->line.data, s->line.len);
	return take(s, s->mapped.data ? s->mapped.data : "", s->mapped.len, is_last, err);
}

// ---- the program ------------------------------------------------------------------------------------------------------

// Between vfork and exec: only system calls.
static void become(const struct preprocess *p, int null_fd, int out_fd, int err_fd)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	umask(p->umask);
	if (fchdir(p->cwd_fd) == 0 && dup2(null_fd, 0) >= 0 && dup2(out_fd, 1) >= 0 && dup2(err_fd, 2) >= 0)
		execve(p->program, (char *const *)(uintptr_t)p->argv, (char *const *)(uintptr_t)p->envp);
	_exit(127);
}

static pid_t start(const struct preprocess *p, int out_fd, int err_fd, struct err *err)
{
	AUTO_CLOSE int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0)
		return err_errno(err, "cannot open '/dev/null'");
	// A fork would copy the page tables of a daemon that knows thousands of headers; posix_spawn has no umask.
	// NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork)
	pid_t pid = vfork();
	if (pid == 0)
		become(p, null_fd, out_fd, err_fd); // NOLINT(clang-analyzer-unix.Vfork): system calls only, then _exit
	if (pid < 0)
		return err_errno(err, "cannot start '%s'", p->program);
	return pid;
}

// Reads both streams to their ends. -1: too much, too long. The text is taken in large pieces, the end with the last of
// them: zstd then knows how long a short text is, and neither side needs memory for more.
static int pump(struct sink *s, int out_fd, int err_fd, struct err *err)
{
	AUTO_FREE char *chunk = mem_realloc(NULL, CHUNK); // its pages are only touched as far as they are used
	size_t have = 0;
	struct pollfd fds[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
	int64_t end = clock_ms() + s->p->time_limit_ms;
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		int64_t left = end - clock_ms();
		int n = left > 0 ? poll(fds, 2, (int)left) : 0;
		if (n == 0)
			return err_set(err, ERR_TIMEOUT, "the preprocessor takes too long");
		for (int i = 0; n > 0 && i < 2; i++) {
			if (!fds[i].revents)
				continue;
			ssize_t got = read(fds[i].fd, chunk + have, CHUNK - have);
			if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
				fds[i].fd = -1;
			else if (got > 0 && i == 1)
				s->p->has_messages = true;
			else if (got > 0)
				have += (size_t)got;
			if (have < CHUNK)
				continue;
			if (take_text(s, chunk, have, false, err) < 0)
				return -1;
			have = 0;
		}
	}
	return take_text(s, chunk, have, true, err);
}

static int run(struct sink *s, struct err *err)
{
	int out[2] = {-1, -1}, errs[2] = {-1, -1}, done = -1;
	pid_t pid = -1;
	if (pipe2(out, O_CLOEXEC) == 0 && pipe2(errs, O_CLOEXEC) == 0)
		pid = start(s->p, out[1], errs[1], err);
	else
		err_errno(err, "cannot make a pipe");
	for (int i = 0; i < 2; i++)
		close(i ? out[1] : errs[1]);
	if (pid > 0) {
		fcntl(out[0], F_SETPIPE_SZ, 1 << 20);
		done = pump(s, out[0], errs[0], err);
		struct rusage used = {0};
		if (child_wait_usage(pid, done < 0 ? 0 : END_MS, &s->p->status, &used) < 1 && done == 0)
			done = err_set(err, ERR_TIMEOUT, "the preprocessor does not end");
		s->p->cpu_us = clock_us_of(used.ru_utime) + clock_us_of(used.ru_stime);
	}
	close(out[0]);
	close(errs[0]);
	return done < 0 || EVP_DigestFinal_ex(s->hash, s->p->sha256, NULL) != 1 ? -1 : 0;
}

int preprocess_run(struct preprocess *p, struct err *err)
{
	struct sink s = {.p = p, .hash = EVP_MD_CTX_new(), .zstd = zstd_take_packer(), .line = {.max = LINE_MAX_BYTES}};
	p->compressed = (struct buf){.max = PREPROCESSED_MAX};
	int done = -1;
	if (s.hash && EVP_DigestInit_ex(s.hash, EVP_sha256(), NULL) == 1) {
		ZSTD_CCtx_setParameter(s.zstd, ZSTD_c_compressionLevel, PREPROCESS_LEVEL);
		done = run(&s, err);
	} else {
		err_set(err, ERR_IO, "cannot set up SHA-256");
	}
	EVP_MD_CTX_free(s.hash);
	zstd_give_packer(s.zstd);
	buf_release(&s.line);
	buf_release(&s.mapped);
	return done;
}

void preprocess_release(struct preprocess *p)
{
	buf_release(&p->compressed);
}
