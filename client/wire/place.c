#include "client/wire/place.h"

#include "client/wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#define HASH_BEGIN 0xcbf29ce484222325u

enum { BACKLOG = 4096 };

// FNV-1a with 64 bits. NULL differs from "".
static uint64_t hash_text(uint64_t h, const char *s)
{
	const uint64_t prime = 0x100000001b3u;
	h = (h ^ (s ? 1u : 0u)) * prime;
	for (; s && *s; s++)
		h = (h ^ (unsigned char)*s) * prime;
	return h * prime; // as for a '\0' behind the text
}

static const char *absolute(const char *path)
{
	return path && path[0] == '/' ? path : NULL;
}

// The XDG specification: the directory is the user's and nobody else's. A value left over from `sudo` or `su`, or a
// directory that nobody made, must not keep coffer from working.
static bool is_ours_alone(const char *dir)
{
	struct stat st;
	return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

static char *below_the_cache(struct arena *a, const char *(*env)(void *, const char *), void *ctx)
{
	const char *dir;
	if ((dir = absolute(env(ctx, "COFFER_CACHE_DIR"))))
		return arena_printf(a, "%s/run", dir);
	if ((dir = absolute(env(ctx, "XDG_CACHE_HOME"))))
		return arena_printf(a, "%s/coffer/run", dir);
	if ((dir = absolute(env(ctx, "HOME"))))
		return arena_printf(a, "%s/.cache/coffer/run", dir);
	return NULL;
}

bool wire_find_place(struct wire_place *p, struct arena *a, const char *(*env)(void *, const char *), void *ctx)
{
	static const char *const parts[] = {"COFFER_CACHE_DIR", "COFFER_CONFIG", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
					    "HOME"};
	uint64_t h = hash_text(HASH_BEGIN ^ WIRE_MAGIC, COFFER_VERSION);
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		h = hash_text(h, env(ctx, parts[i]));

	const char *dir;
	*p = (struct wire_place){NULL, NULL};
	if ((dir = absolute(env(ctx, "COFFER_RUNTIME_DIR")))) {
		p->dir = arena_strdup(a, dir);
	} else if ((dir = absolute(env(ctx, "XDG_RUNTIME_DIR"))) && is_ours_alone(dir)) {
		p->dir = arena_printf(a, "%s/coffer", dir);
	} else {
		struct utsname host;
		p->dir = below_the_cache(a, env, ctx);
		h = hash_text(h, uname(&host) == 0 ? host.nodename : NULL);
	}
	if (!p->dir)
		return false;
	p->name = arena_printf(a, "daemon-%016llx", (unsigned long long)h);
	return true;
}

// ---- worlds ---------------------------------------------------------------------------------------------------------

static int world_of(struct wire_world *w, const char *process, gid_t group)
{
	char path[64];
	struct stat mounts, root;
	snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
	if (stat(path, &mounts))
		return -1;
	snprintf(path, sizeof path, "/proc/%s/root", process);
	if (stat(path, &root))
		return -1;
	*w = (struct wire_world){mounts.st_ino, root.st_dev, root.st_ino, group};
	return 0;
}

// A /proc of another pid namespace has other processes under the numbers that we know them by.
static bool knows_us(void)
{
	char self[16] = "";
	return readlink("/proc/self", self, sizeof self - 1) > 0 && atoi(self) == (int)getpid();
}

int wire_own_world(struct wire_world *w)
{
	if (!knows_us()) {
		errno = ENOENT;
		return -1;
	}
	return world_of(w, "self", getegid());
}

int wire_peer_world(struct wire_world *w, int sock)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return -1;
	char process[16];
	snprintf(process, sizeof process, "%d", (int)peer.pid);
	return world_of(w, process, peer.gid);
}

bool wire_same_world(const struct wire_world *w, const struct wire_world *other)
{
	return w->mounts == other->mounts && w->root_dev == other->root_dev && w->root_ino == other->root_ino &&
	       w->group == other->group;
}

int wire_find_place_in(struct wire_place *p, const struct wire_place *usual, struct arena *a,
		       const char *(*env)(void *, const char *), void *ctx)
{
	struct wire_world w;
	struct utsname host;
	*p = (struct wire_place){below_the_cache(a, env, ctx), NULL};
	if (!p->dir || wire_own_world(&w))
		return -1;
	uint64_t on_host = hash_text(HASH_BEGIN, uname(&host) == 0 ? host.nodename : NULL), h = HASH_BEGIN;
	const uint64_t parts[] = {w.mounts, w.root_dev, w.root_ino, w.group};
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		h = hash_text(h, arena_printf(a, "%llu", (unsigned long long)parts[i]));
	p->name = arena_printf(a, "%s-%08x-%016llx", usual->name, (unsigned)on_host, (unsigned long long)h);
	return 0;
}

// "daemon-<16 hex>-<8 hex>-<16 hex>": configuration, host, world.
enum { HOST_AT = sizeof "daemon-" - 1 + 16, HOST_LENGTH = 1 + 8 + 1, WORLD_NAME = HOST_AT + HOST_LENGTH + 16 };

// A home may be shared by hosts: a socket of another one can't be told from a dead one.
static bool is_of_a_world_here(const char *name, const char *own)
{
	return strlen(own) == WORLD_NAME && strlen(name) == WORLD_NAME && strncmp(name, "daemon-", 7) == 0 &&
	       memcmp(name + HOST_AT, own + HOST_AT, HOST_LENGTH) == 0;
}

void wire_remove_left(const struct wire_place *own)
{
	DIR *dir = opendir(own->dir);
	struct dirent *e;
	for (int n = 0; dir && n < WIRE_LEFT_MAX && (e = readdir(dir)); n++) {
		struct wire_place left = {own->dir, e->d_name};
		if (!is_of_a_world_here(e->d_name, own->name) || strcmp(e->d_name, own->name) == 0)
			continue;
		AUTO_CLOSE int lock = wire_lock(&left, NULL);
		AUTO_CLOSE int sock = lock >= 0 ? wire_connect(&left) : -1;
		if (lock < 0 || sock >= 0 || errno != ECONNREFUSED)
			continue;
		char name[sizeof e->d_name + sizeof ".lock"];
		snprintf(name, sizeof name, "%s.lock", e->d_name);
		unlinkat(dirfd(dir), e->d_name, 0);
		unlinkat(dirfd(dir), name, 0);
	}
	if (dir)
		closedir(dir);
}

// ---- the directory --------------------------------------------------------------------------------------------------

// mkdir -p, for us alone. A home directory that is not there ("/nonexistent") is not made: somebody means that there is
// none.
static int make_dirs(const char *path)
{
	AUTO_FREE char *copy = mem_strdup(path);
	char *below_home = strstr(copy, "/.cache/coffer");
	if (below_home) {
		*below_home = '\0';
		if (access(copy[0] ? copy : "/", F_OK))
			return -1;
		*below_home = '/';
	}
	for (char *at = copy + 1;; at++) {
		if (*at != '/' && *at != '\0')
			continue;
		char end = *at;
		*at = '\0';
		// A directory that is there may say EROFS or EACCES instead of EEXIST: the last one decides.
		if (mkdir(copy, 0700) && errno != EEXIST && end == '\0')
			return -1;
		if (end == '\0')
			return 0;
		*at = end;
	}
}

int wire_lock(const struct wire_place *p, struct err *err)
{
	AUTO_CLOSE int dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT && make_dirs(p->dir) == 0)
		dir = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	if (dir < 0 || fstat(dir, &st))
		return err_errno(err, "cannot open '%s'", p->dir);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(err, ERR_ACCESS, "'%s' is not ours alone (it wants our user and mode 0700)", p->dir);
	char name[64];
	snprintf(name, sizeof name, "%s.lock", p->name);
	AUTO_CLOSE int lock = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return err_errno(err, "cannot open '%s/%s'", p->dir, name);
	if (flock(lock, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return err_set(err, ERR_TIMEOUT, "another process holds '%s/%s'", p->dir, name);
		return err_errno(err, "cannot lock '%s/%s'", p->dir, name);
	}
	struct stat named;
	if (fstat(lock, &st) || fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) || st.st_ino != named.st_ino)
		return err_set(err, ERR_TIMEOUT, "'%s/%s' has just been removed", p->dir, name);
	return TAKE_FD(lock);
}

// ---- the socket ---------------------------------------------------------------------------------------------------

// A path that is too long goes through a descriptor of its directory, which *dir then holds.
static int socket_address(const struct wire_place *p, struct sockaddr_un *address, int *dir)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	size_t size = sizeof address->sun_path;
	int n = snprintf(address->sun_path, size, "%s/%s", p->dir, p->name);
	if (n >= 0 && (size_t)n < size)
		return 0;
	*dir = open(p->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -1;
	n = snprintf(address->sun_path, size, "/proc/self/fd/%d/%s", *dir, p->name);
	if (n >= 0 && (size_t)n < size)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int wire_connect(const struct wire_place *p)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	// Connecting waits as sending does, where the queue of a daemon that hangs is full.
	const struct timeval limit = {.tv_sec = WIRE_TIMEOUT_S};
	struct sockaddr_un address;
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) || socket_address(p, &address, &dir))
		return -1;
	int r;
	do
		r = connect(sock, (const struct sockaddr *)&address, sizeof address);
	while (r && errno == EINTR);
	return r ? -1 : TAKE_FD(sock);
}

int wire_listen(const struct wire_place *p)
{
	AUTO_CLOSE int dir = -1;
	AUTO_CLOSE int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	if (sock < 0 || socket_address(p, &address, &dir))
		return -1;
	if (unlink(address.sun_path) && errno != ENOENT)
		return -1;
	if (bind(sock, (const struct sockaddr *)&address, sizeof address) || listen(sock, BACKLOG))
		return -1;
	return TAKE_FD(sock);
}

int wire_check_peer(int sock, struct err *err)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return err_errno(err, "cannot tell who is at the other end of the socket");
	if (peer.uid != geteuid())
		return err_set(err, ERR_ACCESS, "the process at the other end of the socket is of user %u",
			       (unsigned)peer.uid);
	return 0;
}
