#include "client/services/audit_logs.h"

#include "base/clock.h"
#include "base/log.h"

#include <ctype.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRY_AGAIN_MS = 10000, HOST_MAX = 64 };

struct known_log {
	char *directory;
	struct audit_log *log; // NULL: it could not be opened at `tried_ms`, for `err`
	int64_t tried_ms;
	struct err err;
};

struct audit_logs {
	pthread_mutex_t lock;
	struct known_log known[AUDIT_LOGS_MAX];
	unsigned n;
	char *user, machine[HOST_MAX + 8];
};

// A host's name as a log's origin may be.
static void name_machine(char *machine, size_t size)
{
	char host[HOST_MAX] = "";
	gethostname(host, sizeof host - 1);
	for (char *c = host; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			*c = '_';
	snprintf(machine, size, "client:%s", host);
}

struct audit_logs *audit_logs_new(void)
{
	struct audit_logs *all = mem_alloc(sizeof *all);
	const struct passwd *user = getpwuid(geteuid());
	pthread_mutex_init(&all->lock, NULL);
	all->user = user ? mem_strdup(user->pw_name) : mem_printf("%u", (unsigned)geteuid());
	name_machine(all->machine, sizeof all->machine);
	return all;
}

const char *audit_logs_user(const struct audit_logs *all)
{
	return all->user;
}

const char *audit_logs_machine(const struct audit_logs *all)
{
	return all->machine;
}

static void open_log(struct audit_logs *all, struct known_log *k)
{
	k->tried_ms = clock_ms();
	k->log = NULL;
	for (unsigned i = 1; i <= AUDIT_LOGS_BESIDE && !k->log; i++) {
		AUTO_FREE char *directory = i == 1 ? mem_strdup(k->directory) : mem_printf("%s.%u", k->directory, i);
		const struct audit_log_config config = {.directory = directory,
							.origin = all->machine,
							.sync = AUDIT_SYNC_CHECKPOINT,
							.events = AUDIT_EVENTS_OFF};
		err_clear(&k->err);
		if (audit_log_open(&config, &k->log, &k->err) < 0 && k->err.code != ERR_BUSY)
			break;
	}
	if (!k->log)
		log_warn("no audit log: %s", k->err.text);
}

// Under the lock.
static struct known_log *known_log(struct audit_logs *all, const char *directory)
{
	for (unsigned i = 0; i < all->n; i++)
		if (strcmp(all->known[i].directory, directory) == 0)
			return &all->known[i];
	if (all->n == AUDIT_LOGS_MAX)
		return NULL;
	struct known_log *k = &all->known[all->n++];
	*k = (struct known_log){.directory = mem_strdup(directory)};
	open_log(all, k);
	return k;
}

int audit_logs_find(struct audit_logs *all, const struct settings *config, struct audit_log **log, struct err *err)
{
	const char *directory = setting_text(config, SETTING_audit_directory);
	*log = NULL;
	if (!*directory)
		return 0;
	pthread_mutex_lock(&all->lock);
	struct known_log *k = known_log(all, directory);
	if (k && !k->log && clock_ms() - k->tried_ms > TRY_AGAIN_MS)
		open_log(all, k);
	if (!k)
		err_set(err, ERR_LIMIT, "one daemon writes to %d audit logs at most", AUDIT_LOGS_MAX);
	else if (!k->log)
		*err = k->err;
	else
		*log = k->log;
	pthread_mutex_unlock(&all->lock);
	return *log ? 1 : -1;
}

void audit_logs_close(struct audit_logs *all)
{
	for (unsigned i = 0; i < all->n; i++) {
		audit_log_close(all->known[i].log);
		free(all->known[i].directory);
	}
	pthread_mutex_destroy(&all->lock);
	free(all->user);
	free(all);
}
