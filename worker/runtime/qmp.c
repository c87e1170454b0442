#include "worker/runtime/qmp.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int qmp_line(const char *line, size_t n, json_t **returned, struct err *err)
{
	json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return err_set(err, ERR_PEER, "QEMU's answer is no JSON");
	}
	json_t *value = json_object_get(o, "return"), *error = json_object_get(o, "error");
	int rc = 0;
	if (value) {
		*returned = json_incref(value);
		rc = 1;
	} else if (error) {
		const char *why = json_string_value(json_object_get(error, "desc"));
		rc = err_set(err, ERR_USAGE, "QEMU refuses: %.200s", why ? why : "it does not say why");
	} else if (!json_object_get(o, "event")) {
		rc = err_set(err, ERR_PEER, "QEMU's answer is none");
	}
	json_decref(o);
	return rc;
}

// The next line in q->in, without its end; its length, or -1. What is behind it stays.
static ssize_t read_line(struct qmp *q, int64_t until, struct err *err)
{
	for (;;) {
		const char *end = q->in.len ? memchr(q->in.data, '\n', q->in.len) : NULL;
		if (end)
			return end - q->in.data;
		if (q->in.len >= QMP_LINE_MAX)
			return err_set(err, ERR_LIMIT, "QEMU's answer is too long");
		struct pollfd wait = {.fd = q->fd, .events = POLLIN};
		int64_t left = until - clock_ms();
		int rc = left > 0 ? poll(&wait, 1, (int)left) : 0;
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_TIMEOUT, "QEMU does not answer");
		char *room = buf_room(&q->in, 4096);
		ssize_t n = room ? recv(q->fd, room, 4096, MSG_DONTWAIT) : -1;
		if (n <= 0 && !(n < 0 && errno == EAGAIN))
			return err_set(err, ERR_PEER, "QEMU has ended");
		if (n > 0)
			buf_grew(&q->in, (size_t)n);
	}
}

static void drop_line(struct qmp *q, size_t n)
{
	size_t left = q->in.len - n - 1;
	memmove(q->in.data, q->in.data + n + 1, left);
	q->in.len = left;
	q->in.data[left] = '\0';
}

// Up to the next answer.
static int read_answer(struct qmp *q, json_t **returned, struct err *err)
{
	int64_t until = clock_ms() + QMP_MS;
	for (int events = 0; events < QMP_EVENTS_MAX; events++) {
		ssize_t n = read_line(q, until, err);
		if (n < 0)
			return -1;
		int rc = qmp_line(q->in.data, (size_t)n, returned, err);
		drop_line(q, (size_t)n);
		if (rc != 0)
			return rc;
	}
	return err_set(err, ERR_LIMIT, "QEMU does not answer, but tells other things");
}

static int send_line(const struct qmp *q, const char *text, int pass, struct err *err)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof pass)];
	} control = {.room = ""};
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (pass >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control.room;
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof pass)};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &pass, sizeof pass);
	}
	return sendmsg(q->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part.iov_len
		       ? 0
		       : err_set(err, ERR_PEER, "QEMU takes no command");
}

int qmp_run(struct qmp *q, const char *command, json_t *arguments, int pass, json_t **answer, struct err *err)
{
	json_t *o = json_pack("{s:s}", "execute", command), *returned = NULL;
	if (arguments)
		json_object_set_new(o, "arguments", arguments);
	AUTO_FREE char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return err_set(err, ERR_FORMAT, "the command '%s' is no JSON", command);
	AUTO_FREE char *line = mem_printf("%s\n", text);
	if (send_line(q, line, pass, err) < 0 || read_answer(q, &returned, err) < 0)
		return err_wrap(err, "%s", command);
	if (answer)
		*answer = returned;
	else
		json_decref(returned);
	return 0;
}

void qmp_open(struct qmp *q, int fd)
{
	*q = (struct qmp){.fd = fd, .in = {.max = 2 * QMP_LINE_MAX}};
}

int qmp_greet(struct qmp *q, struct err *err)
{
	// {"QMP": …}; it says nothing that is needed.
	ssize_t n = read_line(q, clock_ms() + QMP_MS, err);
	if (n < 0)
		return -1;
	drop_line(q, (size_t)n);
	return qmp_run(q, "qmp_capabilities", NULL, -1, NULL, err);
}

void qmp_close(struct qmp *q)
{
	buf_release(&q->in);
}
