#include "client/daemon/daemon.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "client/services/audit_logs.h"
#include "client/services/shared_stores.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	IDLE_THREADS = 4,         // kept waiting for launchers
	STACK_BYTES = 256 * 1024, // a job's largest buffers are on the heap
	HOUSEKEEPING_MS = 1000,
	DRAIN_MS = 5000,           // how long jobs under way are waited for at the end
	SHARE_MS = 5000,           // and what is on its way to a shared store
	ELSEWHERE_IDLE_MS = 60000, // a daemon in a container or a sandbox ends after it: it holds the mounts there
};

#define NO_CACHE_NS ((int64_t)30 * 1000000000) // a daemon that could not open its cache ends after it

// ---- threads --------------------------------------------------------------------------------------------------------

static void *serve(void *arg);

static void start_thread(struct daemon *d)
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&d->threads, 1);
	if (pthread_create(&thread, &attr, serve, d) != 0)
		atomic_fetch_sub(&d->threads, 1);
	pthread_attr_destroy(&attr);
}

// Takes launchers one after the other. There is always somebody waiting in accept: whoever takes the last place starts a
// successor; whoever comes back to enough waiting ones ends.
static void *serve(void *arg)
{
	struct daemon *d = arg;
	while (!atomic_load(&d->stopping)) {
		int sock = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0) {
			if (errno == EINVAL || errno == EBADF)
				break;
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
				usleep(10000); // launchers that wait longer than their bound run the compiler themselves
			continue;
		}
		int busy = atomic_fetch_add(&d->busy, 1) + 1;
		int threads = atomic_load(&d->threads);
		if (busy >= threads && threads < (int)DAEMON_MAX_THREADS)
			start_thread(d);
		serve_launcher(d, sock);
		close(sock);
		atomic_store(&d->last_work_ns, clock_ns());
		busy = atomic_fetch_sub(&d->busy, 1) - 1;
		if (atomic_load(&d->threads) - busy > IDLE_THREADS)
			break;
	}
	atomic_fetch_sub(&d->threads, 1);
	return NULL;
}

// ---- setting up -----------------------------------------------------------------------------------------------------

// The launcher has taken back what can be taken back of its own limits (base/limits.h).
static void set_up_process(struct daemon *d)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	d->narrow = limits_narrow(0);
	if (d->narrow)
		log_warn("this daemon is held back by the limits of the shell that has started it (%s), and ends when "
			 "somebody with wider ones compiles",
			 d->narrow);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	mallopt(M_ARENA_MAX, 2); // many threads, little memory each
	umask(0);                // each output gets its launcher's umask
}

// ---- the main thread ------------------------------------------------------------------------------------------------

static void keep_house(struct daemon *d)
{
	uint64_t removed = 0;
	struct err err = ERR_INIT;
	const struct settings *config = settings_find(d->services.settings, (const char *const *)environ, NULL, NULL, NULL);
	uint64_t limit = config ? (uint64_t)setting_number(config, SETTING_max_size) : d->limit;
	if (limit != d->limit) // else what the last compile said counts
		store_set_limit(d->services.store, limit);
	d->limit = limit;
	if (!store_is_over(d->services.store))
		return;
	if (store_evict_some(d->services.store, &removed, &err) < 0)
		log_warn("cannot make room in the cache: %s", err.text);
	stats_add(d->services.stats, STAT_evicted, removed);
}

// Which file launchers connect to; 0: none.
static ino_t socket_file(const struct daemon *d)
{
	struct sockaddr_un own = {0};
	socklen_t n = sizeof own;
	struct stat st;
	if (getsockname(d->listen_fd, (struct sockaddr *)&own, &n) < 0 || lstat(own.sun_path, &st) < 0)
		return 0;
	return st.st_ino;
}

// The worlds of others come and go: whoever is left of them is removed, and none is kept from its end for long by a daemon.
static void settle_elsewhere(const struct daemon *d, int64_t *idle_ms)
{
	struct sockaddr_un own = {0};
	socklen_t n = sizeof own;
	char *slash;
	if (getsockname(d->listen_fd, (struct sockaddr *)&own, &n) == 0 && (slash = strrchr(own.sun_path, '/'))) {
		*slash = '\0';
		wire_remove_left(&(struct wire_place){own.sun_path, slash + 1});
	}
	*idle_ms = *idle_ms < ELSEWHERE_IDLE_MS ? *idle_ms : ELSEWHERE_IDLE_MS;
}

static void run(struct daemon *d, int64_t idle_ms)
{
	ino_t socket = socket_file(d);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	AUTO_CLOSE int signals = signalfd(-1, &set, SFD_CLOEXEC);
	for (int i = 0; i < IDLE_THREADS; i++)
		start_thread(d);
	int64_t started = clock_ns();
	while (!atomic_load(&d->stopping)) {
		struct pollfd fd = {.fd = signals, .events = POLLIN};
		if (poll(&fd, 1, HOUSEKEEPING_MS) > 0)
			break;
		if (d->services.store)
			keep_house(d);
		else if (clock_ns() - started > NO_CACHE_NS)
			break; // the next daemon may find the cache in order
		// With its socket (the cache's directory was removed) the daemon has lost its use.
		if (atomic_load(&d->busy) == 0 && socket_file(d) != socket)
			break;
		int64_t idle = (clock_ns() - atomic_load(&d->last_work_ns)) / 1000000;
		struct pollfd waiting = {.fd = d->listen_fd, .events = POLLIN};
		if (atomic_load(&d->busy) == 0 && idle >= idle_ms && poll(&waiting, 1, 0) == 0)
			break;
	}
	atomic_store(&d->stopping, true);
}

// New launchers start a new daemon from now on; those that are being served are waited for, within a bound.
static void wind_up(struct daemon *d)
{
	struct sockaddr_storage own;
	socklen_t n = sizeof own;
	if (getsockname(d->listen_fd, (struct sockaddr *)&own, &n) == 0)
		shutdown(d->listen_fd, SHUT_RDWR);
	rest_end(&d->services.rest);
	for (int waited = 0; atomic_load(&d->busy) > 0 && waited < DRAIN_MS; waited += 10)
		usleep(10000);
	if (!shared_stores_flush(d->services.shared_stores, SHARE_MS))
		log_warn("ends before all results were given to the shared store");
	if (atomic_load(&d->busy) == 0)
		audit_logs_close(d->services.audit_logs);
	log_info("ends with %d jobs under way", atomic_load(&d->busy));
}

static void set_log_level(const struct settings *config)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(setting_text(config, SETTING_log_level), names[i]) == 0)
			log_set_level((enum log_level)i);
}

// Started by a launcher whose world (client/wire/place.h) is not that of the usual daemon.
static bool is_elsewhere(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[argc - 1], "--elsewhere") == 0;
}

static int listen_fd_of(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--socket-fd") == 0)
			return atoi(argv[i + 1]);
	return -1;
}

static const char *no_env(void *unused, const char *name)
{
	(void)unused, (void)name;
	return NULL;
}

int daemon_main(int argc, char **argv)
{
	struct daemon *d = mem_alloc(sizeof *d);
	struct settings config = {0};
	struct config_source src = {.env = process_env};
	struct err err = ERR_INIT;

	d->listen_fd = listen_fd_of(argc, argv);
	if (d->listen_fd < 0) {
		fprintf(stderr, "coffer: the daemon is started by the launcher: run 'coffer gcc …', it starts by itself\n");
		return 2;
	}
	set_up_process(d);
	// A wrong setting does not keep the daemon from running: each job reports it (see the reason 'configuration').
	if (config_load(&config, &src, &err) < 0) {
		log_error("%s", err.text);
		struct config_source none = {.env = no_env, .system_file = ""};
		if (config_load(&config, &none, &err) < 0)
			return 1;
	}
	set_log_level(&config);
	d->limit = (uint64_t)setting_number(&config, SETTING_max_size);
	if (services_open(&d->services, &config, &err) < 0) {
		log_error("cannot start: %s", err.text);
		return 1;
	}
	log_info("coffer %s serves '%s'", COFFER_VERSION, d->services.cache_dir);
	atomic_store(&d->last_work_ns, clock_ns());
	int64_t idle_ms = setting_number(&config, SETTING_idle_timeout);
	if (is_elsewhere(argc, argv))
		settle_elsewhere(d, &idle_ms);
	settings_release(&config);
	run(d, idle_ms);
	wind_up(d);
	// Threads may still wait in accept or for a launcher: the process ends under them, which loses nothing.
	return 0;
}
