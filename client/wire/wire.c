#include "client/wire/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- messages -----------------------------------------------------------------------------------------------------

enum { HEADER = 12 };

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * WIRE_MAX_FDS)];
};

void wire_msg_release(struct wire_msg *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	buf_release(&m->payload);
	*m = (struct wire_msg)WIRE_MSG_INIT;
}

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static int socket_error(struct err *err, const char *what)
{
	if (errno == EAGAIN)
		return err_set(err, ERR_TIMEOUT, "%s: the other side does not take or give anything", what);
	return err_errno(err, "%s", what);
}

static void attach(struct msghdr *msg, union control *control, const int *fds, unsigned n_fds)
{
	if (!n_fds)
		return;
	size_t size = sizeof(int) * n_fds;
	memset(control, 0, sizeof *control);
	msg->msg_control = control->bytes;
	msg->msg_controllen = CMSG_SPACE(size);
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), fds, size);
}

int wire_send(int sock, enum wire_type type, const struct buf *payload, const int *fds, unsigned n_fds, struct err *err)
{
	size_t len = payload ? payload->len : 0;
	if (len > WIRE_MAX_PAYLOAD || (payload && payload->over) || n_fds > WIRE_MAX_FDS)
		return err_set(err, ERR_LIMIT, "a message is too long to be sent");
	uint8_t header[HEADER];
	put_u32(header, WIRE_MAGIC);
	put_u32(header + 4, type);
	put_u32(header + 8, (uint32_t)len);
	struct iovec iov[2] = {{header, sizeof header}, {len ? payload->data : NULL, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	union control control;
	attach(&msg, &control, fds, n_fds);
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return socket_error(err, "cannot send a message");
		// The descriptors went with the first byte.
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		for (int i = 0; i < 2 && n > 0; i++) {
			size_t gone = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
			iov[i].iov_base = (char *)iov[i].iov_base + gone;
			iov[i].iov_len -= gone;
			n -= (ssize_t)gone;
		}
	}
	return 0;
}

static int take_fds(struct wire_msg *m, struct msghdr *msg, struct err *err)
{
	bool too_many = (msg->msg_flags & MSG_CTRUNC) != 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->n_fds < WIRE_MAX_FDS) {
				m->fds[m->n_fds++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	return too_many ? err_set(err, ERR_LIMIT, "a message has too many descriptors, or no more can be opened") : 0;
}

// Reads n bytes. *got counts up from where it is, so that the caller can tell silence from half a message.
static int recv_all(int sock, void *p, size_t n, size_t *got, struct err *err)
{
	while (*got < n) {
		ssize_t r = recv(sock, (char *)p + *got, n - *got, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0 || (r < 0 && errno == EAGAIN))
			return err_set(err, ERR_PEER, "a message stops in the middle");
		if (r < 0)
			return socket_error(err, "cannot receive a message");
		*got += (size_t)r;
	}
	return 0;
}

// The header and the descriptors, which come with its first byte.
static int recv_header(int sock, struct wire_msg *m, uint8_t header[HEADER], struct err *err)
{
	union control control;
	struct iovec iov = {header, HEADER};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t r;
	do
		r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return socket_error(err, "cannot receive a message");
	if (r == 0)
		return err_set(err, ERR_PEER, "the connection is closed");
	size_t got = (size_t)r;
	if (take_fds(m, &msg, err))
		return -1;
	return recv_all(sock, header, HEADER, &got, err);
}

int wire_recv(int sock, struct wire_msg *m, struct err *err)
{
	wire_msg_release(m);
	uint8_t header[HEADER];
	if (recv_header(sock, m, header, err))
		return -1;
	struct rd r = RD(header, sizeof header);
	uint32_t magic = rd_u32(&r), type = rd_u32(&r), len = rd_u32(&r);
	if (magic != WIRE_MAGIC || type < WIRE_JOB || type > WIRE_ELSEWHERE)
		return err_set(err, ERR_FORMAT, "a message does not begin as one");
	if (len > WIRE_MAX_PAYLOAD)
		return err_set(err, ERR_LIMIT, "a message claims to have %u bytes", len);
	m->type = (enum wire_type)type;
	size_t got = 0;
	char *to = buf_room(&m->payload, len);
	if (recv_all(sock, to, len, &got, err))
		return -1;
	buf_grew(&m->payload, len);
	return 0;
}

// ---- payloads -----------------------------------------------------------------------------------------------------

static int malformed(struct err *err, const char *what)
{
	return err_set(err, ERR_FORMAT, "a malformed message: %s", what);
}

static struct rd reader(const struct buf *payload)
{
	const char *p = payload->data ? payload->data : "";
	return (struct rd)RD(p, payload->len);
}

static int reader_end(const struct rd *r, const char *what, struct err *err)
{
	return r->bad || rd_left(r) ? malformed(err, what) : 0;
}

// NULL (and r->bad) for what is no string.
static const char *get_word(struct rd *r, struct arena *a)
{
	size_t n;
	const char *s = rd_str(r, &n);
	if (!s || memchr(s, '\0', n)) {
		r->bad = true;
		return NULL;
	}
	return arena_strndup(a, s, n);
}

static const char **get_words(struct rd *r, struct arena *a, uint32_t *n)
{
	uint32_t count = rd_u32(r);
	// Each word takes four bytes at least.
	if (count > WIRE_MAX_WORDS || count > rd_left(r) / 4)
		r->bad = true;
	*n = r->bad ? 0 : count;
	const char **words = arena_alloc(a, (*n + (size_t)1) * sizeof *words);
	for (uint32_t i = 0; i < *n && !r->bad; i++)
		words[i] = get_word(r, a);
	return words;
}

static void put_words(struct buf *b, const char *const *words, uint32_t n)
{
	buf_add_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		buf_add_str(b, words[i]);
}

void wire_put_job(struct buf *b, const struct wire_job *j)
{
	buf_add_u32(b, j->umask);
	buf_add_u32(b, j->flags);
	buf_add_u32(b, j->columns);
	buf_add_str(b, j->cwd);
	buf_add_str(b, j->compiler);
	put_words(b, j->argv, j->n_argv);
	put_words(b, j->env, j->n_env);
	put_words(b, j->set, j->n_set);
}

int wire_get_job(struct wire_job *j, struct arena *a, const struct buf *payload, struct err *err)
{
	struct rd r = reader(payload);
	*j = (struct wire_job){.umask = rd_u32(&r)};
	j->flags = rd_u32(&r);
	j->columns = rd_u32(&r);
	j->cwd = get_word(&r, a);
	j->compiler = get_word(&r, a);
	j->argv = get_words(&r, a, &j->n_argv);
	j->env = get_words(&r, a, &j->n_env);
	j->set = get_words(&r, a, &j->n_set);
	if (reader_end(&r, "a job", err))
		return -1;
	if (j->cwd[0] != '/' || j->compiler[0] != '/' || !j->n_argv || j->umask > 0777)
		return malformed(err, "a job without folder, compiler or arguments");
	for (uint32_t i = 0; i < j->n_env; i++)
		if (!strchr(j->env[i], '='))
			return malformed(err, "a variable without '='");
	return 0;
}

void wire_put_done(struct buf *b, const struct wire_done *d)
{
	buf_add_u32(b, d->exit_code);
	buf_add_u8(b, d->in_file);
	if (d->in_file) {
		buf_add_u32(b, d->n_out);
		buf_add_u32(b, d->n_errs);
		return;
	}
	buf_add_strn(b, d->out, d->n_out);
	buf_add_strn(b, d->errs, d->n_errs);
}

int wire_get_done(struct wire_done *d, const struct buf *payload, struct err *err)
{
	struct rd r = reader(payload);
	*d = (struct wire_done){.exit_code = rd_u32(&r)};
	uint8_t in_file = rd_u8(&r);
	d->in_file = in_file != 0;
	if (d->in_file) {
		d->n_out = rd_u32(&r);
		d->n_errs = rd_u32(&r);
	} else {
		size_t n;
		d->out = rd_str(&r, &n);
		d->n_out = (uint32_t)n;
		d->errs = rd_str(&r, &n);
		d->n_errs = (uint32_t)n;
	}
	if (d->exit_code > 255 || in_file > 1)
		r.bad = true;
	return reader_end(&r, "an answer", err);
}

void wire_put_run(struct buf *b, const struct wire_run *r)
{
	buf_add_u32(b, r->flags);
	buf_add_u32(b, r->depfile_word);
	buf_add_u32(b, r->asm_depfile_word);
	buf_add_u64(b, r->max_messages);
	put_words(b, r->argv, r->n_argv);
}

int wire_get_run(struct wire_run *run, struct arena *a, const struct buf *payload, struct err *err)
{
	struct rd r = reader(payload);
	*run = (struct wire_run){.flags = rd_u32(&r)};
	run->depfile_word = rd_u32(&r);
	run->asm_depfile_word = rd_u32(&r);
	run->max_messages = rd_u64(&r);
	run->argv = get_words(&r, a, &run->n_argv);
	if (reader_end(&r, "a command", err))
		return -1;
	uint32_t n = run->n_argv;
	// Word 0 is the program's name, which gets nothing appended.
	if (n == 0 || (run->flags & ~(uint32_t)(RUN_DEPFILE | RUN_ASM_DEPFILE)) ||
	    ((run->flags & RUN_DEPFILE) && (run->depfile_word < 1 || run->depfile_word >= n)) ||
	    ((run->flags & RUN_ASM_DEPFILE) && (run->asm_depfile_word < 1 || run->asm_depfile_word >= n)))
		return malformed(err, "a command whose words do not exist");
	return 0;
}

void wire_put_result(struct buf *b, const struct wire_result *r)
{
	buf_add_u32(b, r->status);
	buf_add_u32(b, r->overflow);
	buf_add_u64(b, r->start_ns);
	buf_add_u64(b, r->wall_us);
	buf_add_u32(b, r->has);
}

int wire_get_result(struct wire_result *res, const struct buf *payload, struct err *err)
{
	struct rd r = reader(payload);
	*res = (struct wire_result){.status = rd_u32(&r)};
	res->overflow = rd_u32(&r);
	res->start_ns = rd_u64(&r);
	res->wall_us = rd_u64(&r);
	res->has = rd_u32(&r);
	if (res->overflow > 1 || (res->has & ~(uint32_t)(RUN_DEPFILE | RUN_ASM_DEPFILE)))
		r.bad = true;
	return reader_end(&r, "a result", err);
}

void wire_put_text(struct buf *b, const char *s)
{
	buf_add_str(b, s);
}

const char *wire_get_text(struct arena *a, const struct buf *payload, struct err *err)
{
	struct rd r = reader(payload);
	const char *s = get_word(&r, a);
	return reader_end(&r, "a text", err) ? NULL : s;
}
