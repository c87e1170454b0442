// Redis (and what speaks its protocol) through hiredis: keys coffer:ac:<hex>, coffer:cas:<hex>. What is used least is for the
// server to remove (maxmemory-policy allkeys-lru), or for a time to live.
#include "store/remote/parts.h"
#include "store/remote/url.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

enum { IDLE = 16, KEY_ROOM = 80, SLACK = 64 << 10, PORT = 6379, WORDS = 6 };

struct redis {
	struct tier tier;
	char *host, *path; // one of them
	uint16_t port;
	int64_t db, ttl_s;
	struct credentials credentials;
	pthread_mutex_t lock;
	redisContext *idle[IDLE]; // connections that wait for the next call
	unsigned n_idle;
};

// One command: words and their lengths.
struct command {
	const char *words[WORDS];
	size_t lengths[WORDS];
	int n;
};

static void add(struct command *c, const char *word)
{
	c->words[c->n] = word;
	c->lengths[c->n++] = strlen(word);
}

static void key_of(const struct tier_name *name, char key[KEY_ROOM])
{
	char path[TIER_PATH_ROOM];
	tier_path(name, path);
	*strchr(path, '/') = ':';
	snprintf(key, KEY_ROOM, "coffer:%s", path);
}

// ---- connections ----------------------------------------------------------------------------------------------------

static int failed(const redisContext *c, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	bool timed_out = c && c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS);
	return err_set(err, timed_out || (c && strstr(c->errstr, "timed out")) ? ERR_TIMEOUT : ERR_PEER, "redis: %s",
		       c ? value_shown(&a, c->errstr) : "out of memory");
}

static bool set_timeout(redisContext *c, int64_t until_ms)
{
	int64_t left = until_ms - clock_ms();
	struct timeval t = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
	return left > 0 && redisSetTimeout(c, t) == REDIS_OK;
}

static int too_late(struct err *err)
{
	return err_set(err, ERR_TIMEOUT, "redis: no answer in time");
}

// The next reply, of at most `max` bytes, in the time that is left. hiredis itself would take what comes, for as long as it comes.
static redisReply *next_reply(redisContext *c, size_t max, int64_t until_ms, struct err *err)
{
	void *reply = NULL;
	for (;;) {
		if (c->reader->ridx < 0 && c->reader->len > c->reader->pos &&
		    !strchr("+-:$", c->reader->buf[c->reader->pos])) {
			// No command of ours is answered with a list, whose items hiredis would keep one by one.
			err_set(err, ERR_PEER, "redis: an answer of another kind");
			return NULL;
		}
		if (redisGetReplyFromReader(c, &reply) != REDIS_OK) {
			failed(c, err);
			return NULL;
		}
		if (reply)
			return reply;
		if (c->reader->len > max + SLACK) {
			err_set(err, ERR_LIMIT, "redis: an answer of more than %zu bytes", max);
			return NULL;
		}
		if (!set_timeout(c, until_ms)) {
			too_late(err);
			return NULL;
		}
		if (redisBufferRead(c) != REDIS_OK) {
			failed(c, err);
			return NULL;
		}
	}
}

static int flush(redisContext *c, int64_t until_ms, struct err *err)
{
	for (int done = 0; !done;) {
		if (!set_timeout(c, until_ms))
			return too_late(err);
		if (redisBufferWrite(c, &done) != REDIS_OK)
			return failed(c, err);
	}
	return 0;
}

// What the server says of a command that it does not do. NOAUTH, WRONGPASS, NOPERM are about who we are.
static int refused(const redisReply *r, struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *text = r->str ? r->str : "";
	bool is_ours = strncmp(text, "NOAUTH", 6) == 0 || strncmp(text, "WRONGPASS", 9) == 0 ||
		       strncmp(text, "NOPERM", 6) == 0 || strncmp(text, "ERR AUTH", 8) == 0 ||
		       strncmp(text, "ERR invalid password", 20) == 0;
	return err_set(err, is_ours ? ERR_ACCESS : ERR_PEER, "redis: %s", value_shown(&a, text));
}

// One of the commands that open a connection.
static int order(redisContext *c, const struct command *words, int64_t until_ms, struct err *err)
{
	const char *argv[WORDS];
	memcpy(argv, words->words, sizeof argv);
	redisAppendCommandArgv(c, words->n, argv, words->lengths);
	redisReply *r = flush(c, until_ms, err) == 0 ? next_reply(c, 0, until_ms, err) : NULL;
	if (!r)
		return -1;
	int rc = r->type == REDIS_REPLY_ERROR ? refused(r, err) : 0;
	freeReplyObject(r);
	return rc;
}

static int greet(const struct redis *t, redisContext *c, int64_t until_ms, struct err *err)
{
	if (t->credentials.password) {
		struct command auth = {.n = 0};
		add(&auth, "AUTH");
		if (t->credentials.user)
			add(&auth, t->credentials.user);
		add(&auth, t->credentials.password);
		if (order(c, &auth, until_ms, err) < 0)
			return -1;
	}
	if (t->db) {
		char number[24];
		struct command select = {.n = 0};
		snprintf(number, sizeof number, "%lld", (long long)t->db);
		add(&select, "SELECT");
		add(&select, number);
		return order(c, &select, until_ms, err);
	}
	return 0;
}

static redisContext *connect_anew(const struct redis *t, int64_t until_ms, struct err *err)
{
	int64_t left = until_ms - clock_ms();
	if (left <= 0) {
		too_late(err);
		return NULL;
	}
	struct timeval timeout = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
	redisContext *c =
		t->path ? redisConnectUnixWithTimeout(t->path, timeout) : redisConnectWithTimeout(t->host, t->port, timeout);
	if (!c || c->err)
		failed(c, err);
	else if (greet(t, c, until_ms, err) == 0)
		return c;
	if (c)
		redisFree(c);
	return NULL;
}

static redisContext *take(struct redis *t)
{
	pthread_mutex_lock(&t->lock);
	redisContext *c = t->n_idle ? t->idle[--t->n_idle] : NULL;
	pthread_mutex_unlock(&t->lock);
	return c;
}

static void give(struct redis *t, redisContext *c)
{
	pthread_mutex_lock(&t->lock);
	if (t->n_idle < IDLE)
		t->idle[t->n_idle++] = TAKE(c);
	pthread_mutex_unlock(&t->lock);
	if (c)
		redisFree(c);
}

// ---- calls ----------------------------------------------------------------------------------------------------------

typedef int (*reply_fn)(void *arg, size_t i, const redisReply *reply, struct err *err);

static int exchange(struct redis *t, redisContext *c, const struct command *commands, size_t n, size_t max, int64_t until_ms,
		    reply_fn fn, void *arg, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const char *argv[WORDS];
		memcpy(argv, commands[i].words, sizeof argv);
		redisAppendCommandArgv(c, commands[i].n, argv, commands[i].lengths);
	}
	int rc = flush(c, until_ms, err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		redisReply *r = next_reply(c, max, until_ms, err);
		rc = !r ? -1 : r->type == REDIS_REPLY_ERROR ? refused(r, err) : fn(arg, i, r, err);
		if (r)
			freeReplyObject(r);
	}
	if (rc == 0)
		give(t, c);
	else
		redisFree(c); // answers may still come: they are nobody's
	return rc;
}

// All commands in one go (pipelined). A connection that was idle may have been closed by the server: then once more on a new one.
static int call(struct redis *t, const struct command *commands, size_t n, size_t max, int64_t until_ms, reply_fn fn,
		void *arg, struct err *err)
{
	redisContext *c = take(t);
	if (c) {
		struct err why = ERR_INIT;
		int rc = exchange(t, c, commands, n, max, until_ms, fn, arg, &why);
		if (rc == 0 || why.code != ERR_PEER || strncmp(why.text, "redis: Server closed", 20) != 0) {
			if (rc < 0 && err)
				*err = why;
			return rc;
		}
	}
	c = connect_anew(t, until_ms, err);
	return c ? exchange(t, c, commands, n, max, until_ms, fn, arg, err) : -1;
}

static int no_such_answer(struct err *err)
{
	return err_set(err, ERR_PEER, "redis: an answer of another type than asked for");
}

struct got {
	struct buf *out;
	size_t max;
	int found;
};

static int take_bytes(void *arg, size_t i, const redisReply *r, struct err *err)
{
	struct got *g = arg;
	if (i > 0) // EXPIRE
		return 0;
	if (r->type != REDIS_REPLY_STRING)
		return no_such_answer(err);
	if (r->len > g->max)
		return err_set(err, ERR_LIMIT, "redis: an entry of more than %zu bytes", g->max);
	g->found = r->len > 0;
	buf_add(g->out, r->str, r->len);
	return buf_check(g->out, "an entry", err);
}

// A range, so that no more comes than may; no entry is empty, so that an empty one is none.
static int redis_get(struct tier *tier, const struct tier_name *name, size_t max, struct buf *out, int64_t until_ms,
		     struct err *err)
{
	struct redis *t = (struct redis *)tier;
	char key[KEY_ROOM], last[24], ttl[24];
	struct command commands[2] = {{.n = 0}, {.n = 0}};
	struct got got = {out, max, 0};
	key_of(name, key);
	snprintf(last, sizeof last, "%zu", max);
	add(&commands[0], "GETRANGE");
	add(&commands[0], key);
	add(&commands[0], "0");
	add(&commands[0], last);
	snprintf(ttl, sizeof ttl, "%lld", (long long)t->ttl_s);
	add(&commands[1], "EXPIRE");
	add(&commands[1], key);
	add(&commands[1], ttl);
	return call(t, commands, t->ttl_s ? 2 : 1, max, until_ms, take_bytes, &got, err) < 0 ? -1 : got.found;
}

static int take_done(void *arg, size_t i, const redisReply *r, struct err *err)
{
	(void)arg, (void)i;
	return r->type == REDIS_REPLY_STATUS ? 0 : no_such_answer(err);
}

static int redis_put(struct tier *tier, const struct tier_name *name, const void *p, size_t n, int64_t until_ms,
		     struct err *err)
{
	struct redis *t = (struct redis *)tier;
	char key[KEY_ROOM], ttl[24];
	struct command set = {.n = 0};
	key_of(name, key);
	add(&set, "SET");
	add(&set, key);
	set.words[set.n] = p;
	set.lengths[set.n++] = n;
	snprintf(ttl, sizeof ttl, "%lld", (long long)t->ttl_s);
	if (t->ttl_s) {
		add(&set, "EX");
		add(&set, ttl);
	}
	return call(t, &set, 1, 0, until_ms, take_done, NULL, err);
}

static int take_there(void *arg, size_t i, const redisReply *r, struct err *err)
{
	bool *there = arg;
	if (r->type != REDIS_REPLY_INTEGER)
		return no_such_answer(err);
	there[i] = r->integer > 0;
	return 0;
}

static int redis_has(struct tier *tier, const struct tier_name *names, size_t n, bool *there, int64_t until_ms,
		     struct err *err)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct command *commands = arena_alloc(&a, (n + 1) * sizeof *commands);
	for (size_t i = 0; i < n; i++) {
		char *key = arena_alloc(&a, KEY_ROOM);
		key_of(&names[i], key);
		add(&commands[i], "EXISTS");
		add(&commands[i], key);
	}
	return n ? call((struct redis *)tier, commands, n, 0, until_ms, take_there, there, err) : 0;
}

static void redis_close(struct tier *tier)
{
	struct redis *t = (struct redis *)tier;
	while (t->n_idle)
		redisFree(t->idle[--t->n_idle]);
	pthread_mutex_destroy(&t->lock);
	credentials_release(&t->credentials);
	free(t->host);
	free(t->path);
	free(t);
}

static int parse_place(struct redis *t, const struct url *u, bool is_unix, struct err *err)
{
	const char *db = url_option(u, "db"), *ttl = url_option(u, "ttl"), *host;
	if (!is_unix && !db && u->path[0] == '/' && u->path[1])
		db = u->path + 1;
	if (db && (value_parse(VALUE_INTEGER, NULL, db, &t->db) || t->db < 0))
		return err_set(err, ERR_USAGE, "the database of a Redis is a number");
	if (ttl && (value_parse(VALUE_DURATION, NULL, ttl, &t->ttl_s) || t->ttl_s < 1000))
		return err_set(err, ERR_USAGE, "ttl is a time of a second or more, as 30d");
	t->ttl_s /= 1000;
	if (is_unix) {
		if (u->path[0] != '/')
			return err_set(err, ERR_USAGE, "redis+unix: takes the absolute name of a socket");
		t->path = mem_strdup(u->path);
		return 0;
	}
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *text = u->authority;
	bool has_port = strchr(strrchr(text, ']') ? strrchr(text, ']') : text, ':') != NULL;
	if (!has_port)
		text = arena_printf(&a, "%s:%d", text, PORT);
	if (!value_split_address(&a, text, &host, &t->port) || !*host)
		return err_set(err, ERR_USAGE, "'%.60s' is not HOST or HOST:PORT", u->authority);
	t->host = mem_strdup(host);
	return 0;
}

int redis_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err)
{
	static const char *const options[] = {"db", "ttl", NULL};
	static const struct tier_ops ops = {
		.kind = "redis", .get = redis_get, .put = redis_put, .has = redis_has, .close = redis_close};
	struct url u;
	(void)ca;
	if (strncmp(url, "rediss:", 7) == 0)
		return err_set(err, ERR_USAGE,
			       "this coffer's library speaks to Redis without TLS: use redis:// through a tunnel (stunnel, "
			       "ssh), or "
			       "redis+unix:");
	if (url_parse(url, options, &u, err) < 0)
		return -1;
	struct redis *t = mem_alloc(sizeof *t);
	t->tier.ops = &ops;
	pthread_mutex_init(&t->lock, NULL);
	int rc = parse_place(t, &u, strncmp(url, "redis+unix:", 11) == 0, err);
	url_release(&u);
	if (rc < 0) {
		redis_close(&t->tier);
		return -1;
	}
	t->credentials = *c;
	*c = (struct credentials){0};
	*out = &t->tier;
	return 0;
}
