// How many routes a scheduler gives: so many workers register, each on a connection of its own, then clients ask as fast as they
// are answered. bench/routes.sh calls it; the scheduler is a process of its own, and its CPU time and memory are read from /proc.
#include "auth/token.h"
#include "base/clock.h"
#include "base/mem.h"
#include "remote/net/tls.h"
#include "remote/rpc.h"

#include "proto/coffer.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MOST = 64, AT_ONCE_MOST = 64, MAX_SAMPLES = 4 << 20 };
static int n_clients, at_once;

static struct loop *loop;
static const char *address;
static struct rpc_tls *worker_tls, *client_tls;
static char image[] = "host:0123456789abcdef0123456789abcdef";
static unsigned wanted;
static atomic_bool stop;
static uint32_t *samples; // microseconds
static atomic_size_t n_samples;
static atomic_size_t n_slots, n_routes;

static void die(const struct err *err, const char *what)
{
	fprintf(stderr, "routes: %s: %s\n", what, err->text);
	exit(1);
}

static void check(int rc, const struct err *err, const char *what)
{
	if (rc < 0)
		die(err, what);
}

// ---- workers --------------------------------------------------------------------------------------------------------

static void register_worker(const struct token_signer *signer, int number)
{
	struct err err = ERR_INIT;
	struct token_claims c = {.use = TOKEN_REGISTER, .not_before = time(NULL), .expires = time(NULL) + 3600};
	snprintf(c.issuer, sizeof c.issuer, "coffer-scheduler");
	snprintf(c.worker, sizeof c.worker, "w%d", number);
	char *token, *images[] = {image};
	check(token_make(signer, &c, &token, &err), &err, "token");
	AUTO_FREE char *bearer = mem_printf("Bearer %s", token), *at = mem_printf("192.0.2.1:%d", 1024 + number);
	free(token);
	struct rpc_channel *channel;
	struct rpc_call *call;
	check(rpc_connect(loop, address, &(struct rpc_channel_config){.tls = worker_tls}, 30000, &channel, &err), &err,
	      "connect");
	check(rpc_call_start(channel, "/coffer.v1.Scheduler/Register", &(struct rpc_call_options){.authorization = bearer},
			     &call, &err),
	      &err, "register");
	Coffer__V1__WorkerHello hello = COFFER__V1__WORKER_HELLO__INIT;
	Coffer__V1__WorkerReport report = COFFER__V1__WORKER_REPORT__INIT;
	char version[] = "bench";
	hello.worker = c.worker;
	hello.address = at;
	hello.slots = 8;
	hello.images = images;
	hello.n_images = 1;
	hello.isolation = COFFER__V1__ISOLATION__ISOLATION_SANDBOX;
	hello.version = version;
	report.kind_case = COFFER__V1__WORKER_REPORT__KIND_HELLO;
	report.hello = &hello;
	check(rpc_send(call, &report.base, &err), &err, "hello");
	Coffer__V1__SchedulerNote *note;
	if (rpc_receive(call, &coffer__v1__scheduler_note__descriptor, 30000, &note, &err) != 1)
		die(&err, "no note");
	coffer__v1__scheduler_note__free_unpacked(note, NULL);
	// It stays: heartbeats of bench/routes.sh's scheduler are a minute.
}

// ---- clients --------------------------------------------------------------------------------------------------------

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void begin(struct rpc_channel *channel, struct rpc_call **call)
{
	struct err err = ERR_INIT;
	Coffer__V1__RouteRequest q = COFFER__V1__ROUTE_REQUEST__INIT;
	q.image = image;
	q.slots = wanted;
	check(rpc_call_start(channel, "/coffer.v1.Scheduler/Route", NULL, call, &err), &err, "call");
	check(rpc_send(*call, &q.base, &err), &err, "send");
	rpc_send_end(*call);
}

static void end(struct rpc_call *call, int64_t since)
{
	struct err err = ERR_INIT;
	Coffer__V1__RouteReply *r;
	if (rpc_receive(call, &coffer__v1__route_reply__descriptor, 30000, &r, &err) != 1)
		die(&err, "no route");
	size_t at = n_samples++;
	if (at < MAX_SAMPLES)
		samples[at] = (uint32_t)(now_us() - since);
	for (size_t i = 0; i < r->n_routes; i++)
		n_slots += r->routes[i]->slots;
	n_routes += r->n_routes;
	coffer__v1__route_reply__free_unpacked(r, NULL);
	if (rpc_wait_status(call)->code != RPC_OK)
		die(&err, "status");
	rpc_call_release(call);
}

static void *client(void *arg)
{
	struct err err = ERR_INIT;
	struct rpc_channel *channel;
	(void)arg;
	check(rpc_connect(loop, address, &(struct rpc_channel_config){.tls = client_tls}, 30000, &channel, &err), &err,
	      "connect");
	while (!stop) {
		struct rpc_call *calls[AT_ONCE_MOST];
		int64_t since[AT_ONCE_MOST];
		for (int i = 0; i < at_once; i++) {
			since[i] = now_us();
			begin(channel, &calls[i]);
		}
		for (int i = 0; i < at_once; i++)
			end(calls[i], since[i]);
	}
	rpc_channel_release(channel);
	return NULL;
}

// ---- the scheduler's process ----------------------------------------------------------------------------------------

static double cpu_s(int pid)
{
	char path[64];
	unsigned long user = 0, system = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		fprintf(stderr, "routes: cannot read %s\n", path);
	if (f)
		fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long rss_kb(int pid)
{
	char path[64], line[256];
	long kb = 0;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "VmRSS: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x > y ? 1 : x < y ? -1 : 0;
}

static void measure(int pid, int seconds, int n_workers, long kb)
{
	pthread_t threads[CLIENTS_MOST];
	stop = false;
	n_samples = n_slots = n_routes = 0;
	double cpu = cpu_s(pid);
	int64_t from = now_us();
	for (int i = 0; i < n_clients; i++)
		pthread_create(&threads[i], NULL, client, NULL);
	sleep((unsigned)seconds);
	stop = true;
	for (int i = 0; i < n_clients; i++)
		pthread_join(threads[i], NULL);
	double took = (double)(now_us() - from) / 1e6;
	cpu = cpu_s(pid) - cpu;
	size_t n = n_samples < MAX_SAMPLES ? n_samples : MAX_SAMPLES;
	qsort(samples, n, sizeof *samples, by_size);
	printf("%7d workers  %4u slots  %8.0f routes/s  %8.0f a CPU second  p50 %5.2f ms  p99 %5.2f ms  %5.1f workers each  "
	       "%5.1f KB a worker\n",
	       n_workers, wanted, (double)n / took, (double)n / cpu, samples[n / 2] / 1e3, samples[n * 99 / 100] / 1e3,
	       (double)n_routes / (double)n, n_workers ? (double)kb / n_workers : 0);
	fflush(stdout);
}

// A number of the environment, from 1 to `most`.
static int number_of(const char *name, int usual, int most)
{
	const char *text = getenv(name);
	int n = text ? atoi(text) : usual;
	return n < 1 ? 1 : n > most ? most : n;
}

// routes ADDRESS FOLDER PID SECONDS WORKERS WANTED...
int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	if (argc < 7)
		return 2;
	address = argv[1];
	n_clients = number_of("BENCH_CLIENTS", 4, CLIENTS_MOST);
	at_once = number_of("BENCH_AT_ONCE", 8, AT_ONCE_MOST);
	int pid = atoi(argv[3]), seconds = atoi(argv[4]), n_workers = atoi(argv[5]);
	AUTO_FREE char *ca = mem_printf("%s/ca.pem", argv[2]), *pem = mem_printf("%s/tenant-bench.pem", argv[2]),
		       *key = mem_printf("%s/tenant-bench-key.pem", argv[2]),
		       *token_key = mem_printf("%s/token-key.pem", argv[2]);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	samples = mem_alloc(MAX_SAMPLES * sizeof *samples);
	struct token_signer *signer;
	check(token_signer_read(token_key, &signer, &err), &err, "key");
	check(loop_start(&loop, &err), &err, "loop");
	check(rpc_tls_client(&(struct rpc_tls_config){.ca = ca}, &worker_tls, &err), &err, "tls");
	check(rpc_tls_client(&(struct rpc_tls_config){.ca = ca, .certificate = pem, .key = key}, &client_tls, &err), &err,
	      "tls");
	long before = rss_kb(pid);
	for (int i = 0; i < n_workers; i++)
		register_worker(signer, i);
	long kb = rss_kb(pid) - before;
	for (int i = 6; i < argc; i++) {
		wanted = (unsigned)atoi(argv[i]);
		measure(pid, seconds, n_workers, kb);
	}
	fflush(stdout);
	_exit(0); // the connections of the workers go with it
}
