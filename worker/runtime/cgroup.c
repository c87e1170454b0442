#include "worker/runtime/cgroup.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "coffer-"
enum { MAX_PROC_FILE = 1 << 20, REMOVE_TRIES = 50, REMOVE_PAUSE_MS = 2 };

// ---- where we are ---------------------------------------------------------------------------------------------------

static bool has_word(const char *list, size_t n, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = list; at < list + n;) {
		size_t k = strcspn(at, ":, \n");
		if (k == len && strncmp(at, word, len) == 0)
			return true;
		at += k + 1;
	}
	return false;
}

// /proc/self/cgroup: "4:memory:/path", "0::/path" for version 2.
static bool own_path(const char *text, const char *controller, char *path, size_t room)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':');
		const char *at = list ? strchr(list + 1, ':') : NULL;
		if (!at)
			return false;
		bool is_it = controller ? has_word(list + 1, (size_t)(at - list - 1), controller) : at == list + 1;
		if (is_it)
			return snprintf(path, room, "%.*s", (int)strcspn(at + 1, "\n"), at + 1) < (int)room;
	}
	return false;
}

// /proc/self/mountinfo: "30 25 0:26 ROOT MOUNTPOINT options - cgroup2 cgroup2 rw" (proc(5)). The directory of the cgroup
// `own`.
static bool find_mount(char *text, const char *type, const char *controller, const char *own, char *directory, size_t room)
{
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char root[512], point[512], fs[64], source[256], options[512];
		const char *dash = strstr(line, " - ");
		if (!dash || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2 ||
		    sscanf(dash, " - %63s %255s %511s", fs, source, options) != 3 || strcmp(fs, type) != 0 ||
		    (controller && !has_word(options, strlen(options), controller)))
			continue;
		size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
		if (strncmp(own, root, n) != 0 || (own[n] && own[n] != '/'))
			continue;
		const char *below = strcmp(own + n, "/") == 0 ? "" : own + n;
		return snprintf(directory, room, "%s%s", point, below) < (int)room;
	}
	return false;
}

static bool find_directory(const char *cgroups, const char *mounts, const char *controller, char *directory, size_t room)
{
	char own[512];
	AUTO_FREE char *text = mem_strdup(mounts);
	return own_path(cgroups, controller, own, sizeof own) &&
	       find_mount(text, controller ? "cgroup" : "cgroup2", controller, own, directory, room);
}

static int write_text(const char *directory, const char *file, const char *text)
{
	AUTO_FREE char *name = mem_printf("%s/%s", directory, file);
	AUTO_CLOSE int fd = open(name, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

// Version 2 wants processes in the leaves only: we go into one, then the others can have controllers.
static bool prepare_v2(const char *directory)
{
	char name[1400];
	AUTO_BUF struct buf controllers = BUF_INIT;
	snprintf(name, sizeof name, "%s/cgroup.controllers", directory);
	if (file_read(AT_FDCWD, name, 2048, &controllers, NULL, NULL) < 0 || !controllers.data ||
	    !has_word(controllers.data, controllers.len, "memory") || !has_word(controllers.data, controllers.len, "pids"))
		return false;
	if (write_text(directory, "cgroup.subtree_control", CGROUP_DIVIDE) == 0)
		return true; // the root, or already so
	snprintf(name, sizeof name, "%s/" PREFIX "worker", directory);
	if (mkdir(name, 0755) < 0 && errno != EEXIST)
		return false;
	return write_text(name, "cgroup.procs", "0") == 0 &&
	       write_text(directory, "cgroup.subtree_control", CGROUP_DIVIDE) == 0;
}

// ---- removing -------------------------------------------------------------------------------------------------------

// The kernel needs a moment after the last process has gone.
static void remove_directory(int parent, const char *name)
{
	struct timespec pause = {0, REMOVE_PAUSE_MS * 1000000};
	for (int i = 0; i < REMOVE_TRIES && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
		nanosleep(&pause, NULL);
}

// A session's cgroup with its jobs'. Cgroups are removed as empty directories; the files in them don't count.
static void remove_session(const char *path)
{
	DIR *d = opendir(path);
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_directory(dirfd(d), e->d_name);
	closedir(d);
	remove_directory(AT_FDCWD, path);
}

// Ends what a killed worker has left running there: a monitor does not end by itself.
static void kill_left_over(const char *session)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_FREE char *name = mem_printf("%s/cgroup.procs", session);
	if (file_read(AT_FDCWD, name, 1 << 20, &text, NULL, NULL) < 0 || !text.data)
		return;
	char *end;
	for (char *at = text.data; *at; at = *end ? end + 1 : end) {
		long pid = strtol(at, &end, 10);
		if (end == at)
			break;
		if (pid > 1)
			kill((pid_t)pid, SIGKILL);
	}
}

static void remove_left_over(const char *directory)
{
	DIR *d = opendir(directory);
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));) {
		long pid = strncmp(e->d_name, PREFIX, sizeof PREFIX - 1) == 0
				   ? strtol(e->d_name + sizeof PREFIX - 1, NULL, 10)
				   : 0;
		if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		AUTO_FREE char *name = mem_printf("%s/%s", directory, e->d_name);
		kill_left_over(name);
		remove_session(name);
	}
	closedir(d);
}

// ---- finding --------------------------------------------------------------------------------------------------------

static bool may_make(const char *directory)
{
	return access(directory, W_OK) == 0;
}

static bool find_v1(struct cgroup_home *h, const char *cgroups, const char *mounts)
{
	return find_directory(cgroups, mounts, "memory", h->memory, sizeof h->memory) &&
	       find_directory(cgroups, mounts, "pids", h->pids, sizeof h->pids) && may_make(h->memory) && may_make(h->pids);
}

static bool find_v2(struct cgroup_home *h, const char *cgroups, const char *mounts)
{
	if (!find_directory(cgroups, mounts, NULL, h->memory, sizeof h->memory) || !may_make(h->memory) ||
	    !prepare_v2(h->memory))
		return false;
	memcpy(h->pids, h->memory, sizeof h->pids);
	return true;
}

void cgroup_find_home(struct cgroup_home *h)
{
	AUTO_BUF struct buf cgroups = {.max = MAX_PROC_FILE}, mounts = {.max = MAX_PROC_FILE};
	struct err err = ERR_INIT;
	*h = (struct cgroup_home){.version = CGROUP_NONE};
	AUTO_CLOSE int one = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int two = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (one < 0 || two < 0 || file_read_fd(one, MAX_PROC_FILE / 2, &cgroups, &err) < 0 ||
	    file_read_fd(two, MAX_PROC_FILE / 2, &mounts, &err) < 0 || !cgroups.data || !mounts.data) {
		snprintf(h->reason, sizeof h->reason, "/proc does not tell about cgroups");
		return;
	}
	if (find_v2(h, cgroups.data, mounts.data))
		h->version = CGROUP_V2;
	else if (find_v1(h, cgroups.data, mounts.data))
		h->version = CGROUP_V1;
	else
		snprintf(h->reason, sizeof h->reason, "no cgroup with memory and pids that this user may divide");
	if (h->version == CGROUP_NONE)
		return;
	remove_left_over(h->memory);
	if (h->version == CGROUP_V1)
		remove_left_over(h->pids);
}

// ---- a session's ----------------------------------------------------------------------------------------------------

// The agent makes the jobs' cgroups below, and with version 2 moves them there, so these files are its own. The limits
// of the session are not.
static int give_away(const char *path, const char *file, uid_t id, gid_t gid, struct err *err)
{
	AUTO_FREE char *name = mem_printf("%s%s%s", path, file ? "/" : "", file ? file : "");
	return chown(name, id, gid) < 0 ? err_errno(err, "cannot give the cgroup '%s' away", name) : 0;
}

static int open_one(const char *path, uid_t id, gid_t gid, bool is_v2, int *dir, struct err *err)
{
	if (mkdir(path, 0755) < 0)
		return err_errno(err, "cannot make the cgroup '%s'", path);
	*dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return err_errno(err, "cannot open the cgroup '%s'", path);
	if (give_away(path, NULL, id, gid, err) < 0 || give_away(path, "cgroup.procs", id, gid, err) < 0)
		return -1;
	return is_v2 ? give_away(path, "cgroup.subtree_control", id, gid, err) : give_away(path, "tasks", id, gid, err);
}

static int set_up(struct cgroup *c, uint64_t memory_bytes, uid_t id, gid_t gid, struct err *err)
{
	char text[32];
	bool is_v2 = c->version == CGROUP_V2;
	if (open_one(c->memory, id, gid, is_v2, &c->memory_dir, err) < 0)
		return -1;
	if (is_v2)
		c->pids_dir = c->memory_dir;
	else if (open_one(c->pids, id, gid, false, &c->pids_dir, err) < 0)
		return -1;
	snprintf(text, sizeof text, "%llu", (unsigned long long)memory_bytes);
	if (memory_bytes && write_text(c->memory, is_v2 ? "memory.max" : "memory.limit_in_bytes", text) < 0)
		return err_errno(err, "cannot limit the memory of the cgroup '%s'", c->memory);
	AUTO_FREE char *agent = mem_printf("%s/" CGROUP_AGENT, c->memory);
	if (is_v2 && mkdir(agent, 0755) < 0)
		return err_errno(err, "cannot make the cgroup '%s'", agent);
	return is_v2 ? give_away(agent, "cgroup.procs", id, gid, err) : 0;
}

int cgroup_open(struct cgroup *c, const struct cgroup_home *h, const char *session, uint64_t memory_bytes, uid_t id,
		gid_t gid, struct err *err)
{
	*c = (struct cgroup)CGROUP_INIT;
	if (h->version == CGROUP_NONE)
		return 0;
	c->version = h->version;
	snprintf(c->memory, sizeof c->memory, "%s/" PREFIX "%d-%s", h->memory, (int)getpid(), session);
	snprintf(c->pids, sizeof c->pids, "%s/" PREFIX "%d-%s", h->pids, (int)getpid(), session);
	if (set_up(c, memory_bytes, id, gid, err) < 0) {
		cgroup_close(c);
		return -1;
	}
	return 0;
}

void cgroup_close(struct cgroup *c)
{
	if (c->version == CGROUP_NONE)
		return;
	if (c->pids_dir == c->memory_dir)
		c->pids_dir = -1;
	mem_close_cleanup(&c->memory_dir);
	mem_close_cleanup(&c->pids_dir);
	remove_session(c->memory);
	if (c->version == CGROUP_V1)
		remove_session(c->pids);
	*c = (struct cgroup)CGROUP_INIT;
}
