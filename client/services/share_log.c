#include "client/services/share_log.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEX = SHA256_HEX - 1, TREE = DIGEST_HEX - 1 };

static void tree_of(const char *tree, char hex[DIGEST_HEX])
{
	struct digest d = digest_of(tree, strlen(tree));
	digest_hex(&d, hex);
}

// Of several that find the log full one renames it: a second rename would take away what the first one kept.
static void begin_new_log(const char *path, const char *old)
{
	struct stat mine, there;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
	    mine.st_ino == there.st_ino)
		rename(path, old);
}

void share_log_add(const char *cache_dir, const char *tree, const struct tier_name *names, size_t n)
{
	AUTO_FREE char *path = mem_printf("%s/v1/shared.log", cache_dir), *old = mem_printf("%s/v1/shared.1.log", cache_dir);
	AUTO_BUF struct buf line = BUF_INIT;
	struct stat st;
	char hex[SHA256_HEX];
	tree_of(tree, hex);
	buf_addf(&line, "%lld %s", (long long)time(NULL), hex);
	for (size_t i = 0; i < n; i++) {
		sha256_hex(&names[i].id, hex);
		buf_addf(&line, " %s", hex);
		if (names[i].bytes)
			buf_addf(&line, "/%u", names[i].bytes);
	}
	buf_addc(&line, '\n');
	if (stat(path, &st) == 0 && st.st_size > SHARE_LOG_MAX_BYTES)
		begin_new_log(path, old);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && write(fd, line.data, line.len) < 0)
		return; // the disk is full: the build's list has one less
}

// ---- reading --------------------------------------------------------------------------------------------------------

struct reader {
	char tree[DIGEST_HEX];
	int64_t since_s;
	struct build_list *list;
	struct map seen;
};

static void add_name(struct reader *r, enum tier_space space, const char *hex, uint32_t bytes)
{
	char text[SHA256_HEX];
	struct tier_name name = {.space = space, .bytes = bytes};
	snprintf(text, sizeof text, "%.*s", HEX, hex);
	if (!sha256_parse(text, &name.id) || map_get(&r->seen, &name, TIER_NAME_KEY))
		return;
	map_put(&r->seen, &name, TIER_NAME_KEY, r);
	build_list_add(r->list, &name);
}

static void read_line(struct reader *r, const char *line, size_t n)
{
	char *end;
	long long seconds = strtoll(line, &end, 10);
	const char *at = end + 1, *stop = line + n;
	if (*end != ' ' || seconds < r->since_s || stop - at < TREE || strncmp(at, r->tree, TREE) != 0)
		return;
	enum tier_space space = TIER_ACTIONS;
	at += TREE;
	while (stop - at > HEX && *at == ' ') {
		const char *hex = at + 1;
		uint32_t bytes = 0;
		at = hex + HEX;
		if (*at == '/') // the size of content; a line has its '\n' behind it
			for (at++; *at >= '0' && *at <= '9' && bytes <= TIER_MAX_BYTES / 10; at++)
				bytes = bytes * 10 + (uint32_t)(*at - '0');
		add_name(r, space, hex, bytes);
		space = TIER_CONTENT;
	}
}

static int read_log(struct reader *r, const char *path, struct err *err)
{
	AUTO_BUF struct buf text = {.max = (size_t)SHARE_LOG_MAX_BYTES * 2};
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(err, "cannot open '%s'", path);
	if (file_read_fd(fd, (size_t)SHARE_LOG_MAX_BYTES + (1 << 20), &text, err) < 0)
		return err_wrap(err, "'%s'", path);
	// From its end, so that what is left out of a list that is full is the oldest.
	for (size_t end = text.len; end;) {
		size_t begin = end - 1;
		while (begin && text.data[begin - 1] != '\n')
			begin--;
		read_line(r, text.data + begin, end - 1 - begin);
		end = begin;
	}
	return 0;
}

int share_log_read(const char *cache_dir, const char *tree, int64_t since_s, struct build_list *l, struct err *err)
{
	AUTO_FREE char *path = mem_printf("%s/v1/shared.log", cache_dir), *old = mem_printf("%s/v1/shared.1.log", cache_dir);
	struct reader r = {.since_s = since_s, .list = l};
	tree_of(tree, r.tree);
	int rc = read_log(&r, path, err);
	if (rc == 0)
		rc = read_log(&r, old, err);
	map_release(&r.seen);
	return rc;
}
