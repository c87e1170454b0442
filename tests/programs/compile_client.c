// A client of coffer.v1.Worker for tests and measurements: sends the text of a file as a job, many times at once if wanted.
//
// usage: compile_client [OPTION]... ADDRESS FILE [ARGUMENT]...
//   --image I (host:any)  --compiler C (gcc)  --language L (cpp-output)  --suffix S (.i)  --output FILE  --output-name N
//   --dwo FILE  --token T  --ca FILE  --server-name N  --hint  --no-lookup  --describe
//   --jobs N --at-once N  so many jobs, so many of them at the same time, each with a text of its own; with --repeat all the
// same
//   --hold MS             waits so long between the header and the source
// Prints, for one job, "started MS" and "EXIT cached|run LIMIT" and what the compiler said; for many one line of figures.
// The status is the compiler's for one job; 3: the call failed, with "CODE: text" on stderr; for many 1 if any failed.
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/coffer.pb-c.h"
#include "remote/net/tls.h"
#include "remote/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define COMPILE "/coffer.v1.Worker/Compile"
#define DESCRIBE "/coffer.v1.Worker/Describe"
enum {
	LEVEL = 3,
	PIECE = 64 * 1024,
	STACK = 128 * 1024,
	PER_CONNECTION = 1000,
	MAX_CONNECTIONS = 16,
	HINT_WAITS = 60,
	HINT_WAIT_US = 50
};

static const char *image = "host:any", *compiler = "gcc", *language = "cpp-output", *suffix = ".i";
static const char *output, *dwo, *output_name = "", *token, *ca, *server_name, *address;
static bool hint, no_lookup, describe_only, repeat;
static int n_jobs = 1, at_once = 1, hold_ms;
static char **arguments;
static size_t n_arguments;
static struct buf source = BUF_INIT;
static struct rpc_channel *channels[MAX_CONNECTIONS];
static int n_channels;
static atomic_int next_job, n_failed, n_cached;
static atomic_ullong job_cpu_us; // as the worker tells it
static char authorization[16384];

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : strerror(errno));
	exit(2);
}

static void *plain(const void *p)
{
	return (void *)(uintptr_t)p;
}

// ---- one job --------------------------------------------------------------------------------------------------------

struct answer {
	int64_t began_us, started_us;
	struct buf frame;
	Coffer__V1__CompileReply *result; // the message with it
};

static int send_header(struct rpc_call *call, const char *text, size_t n, struct err *err)
{
	Coffer__V1__CompileHeader h = COFFER__V1__COMPILE_HEADER__INIT;
	Coffer__V1__CompileRequest m = COFFER__V1__COMPILE_REQUEST__INIT;
	Coffer__V1__Output object = COFFER__V1__OUTPUT__INIT, split = COFFER__V1__OUTPUT__INIT;
	Coffer__V1__Output *outputs[] = {&object, &split};
	uint8_t digest[32];
	split.kind = COFFER__V1__OUTPUT__KIND__DWO;
	h.image = plain(image);
	h.compiler = plain(compiler);
	h.language = plain(language);
	h.suffix = plain(suffix);
	h.arguments = arguments;
	h.n_arguments = n_arguments;
	h.outputs = outputs;
	h.n_outputs = dwo ? 2 : 1;
	h.output_name = plain(output_name);
	h.no_lookup = no_lookup;
	h.source_size = n;
	if (hint) {
		SHA256((const uint8_t *)text, n, digest);
		h.source_digest = (ProtobufCBinaryData){sizeof digest, digest};
	}
	m.kind_case = COFFER__V1__COMPILE_REQUEST__KIND_HEADER;
	m.header = &h;
	return rpc_send(call, &m.base, err);
}

static int send_source(struct rpc_call *call, const char *text, size_t n, struct err *err)
{
	size_t room = ZSTD_compressBound(n);
	AUTO_FREE char *packed = mem_alloc(room);
	size_t len = ZSTD_compress(packed, room, text, n, LEVEL);
	for (size_t at = 0; at < len; at += PIECE) {
		Coffer__V1__CompileRequest m = COFFER__V1__COMPILE_REQUEST__INIT;
		m.kind_case = COFFER__V1__COMPILE_REQUEST__KIND_SOURCE;
		m.source = (ProtobufCBinaryData){len - at < PIECE ? len - at : PIECE, (uint8_t *)packed + at};
		int rc = rpc_send(call, &m.base, err);
		if (rc)
			return rc;
	}
	rpc_send_end(call);
	return 0;
}

static int receive(struct rpc_call *call, struct answer *a, struct err *err)
{
	Coffer__V1__CompileReply *m;
	int rc;
	while ((rc = rpc_receive(call, &coffer__v1__compile_reply__descriptor, -1, &m, err)) == 1) {
		if (m->kind_case == COFFER__V1__COMPILE_REPLY__KIND_STARTED)
			a->started_us = now_us();
		if (m->kind_case == COFFER__V1__COMPILE_REPLY__KIND_PIECE)
			buf_add(&a->frame, m->piece.data, m->piece.len);
		if (m->kind_case == COFFER__V1__COMPILE_REPLY__KIND_RESULT && !a->result)
			a->result = m;
		else
			coffer__v1__compile_reply__free_unpacked(m, NULL);
	}
	if (rc == 0 && !a->result)
		return err_set(err, ERR_PEER, "no result");
	return rc;
}

static int compile(struct rpc_channel *channel, const char *text, size_t n, struct answer *a, struct err *err)
{
	struct rpc_call_options options = {.authorization = *authorization ? authorization : NULL};
	struct rpc_call *call;
	*a = (struct answer){.began_us = now_us()};
	if (rpc_call_start(channel, COMPILE, &options, &call, err) < 0)
		return -1;
	// 1: the answer is there before the source has gone.
	int rc = send_header(call, text, n, err);
	if (hold_ms)
		usleep((unsigned)hold_ms * 1000);
	// A moment for an answer before the source is packed.
	for (int i = 0; hint && i < HINT_WAITS && !rpc_call_has_news(call); i++)
		usleep(HINT_WAIT_US);
	if (hint && rpc_call_has_news(call)) {
		rc = receive(call, a, err);
		rpc_call_release(call);
		return rc;
	}
	if (rc == 0)
		rc = send_source(call, text, n, err);
	if (rc < 0)
		rpc_receive(call, &coffer__v1__compile_reply__descriptor, 0, &(void *){NULL}, err);
	else
		rc = receive(call, a, err);
	rpc_call_release(call);
	return rc;
}

// ---- one job, with its outputs --------------------------------------------------------------------------------------

static void write_outputs(const struct answer *a)
{
	const Coffer__V1__CompileResult *r = a->result->result;
	uint64_t total = 0, at = 0;
	for (size_t i = 0; i < r->n_outputs; i++)
		total += r->outputs[i]->size;
	AUTO_FREE char *bytes = mem_alloc(total + 1);
	if (a->frame.len && ZSTD_decompress(bytes, total, a->frame.data, a->frame.len) != total)
		die("outputs", &(struct err){.text = "not what was announced"});
	for (size_t i = 0; i < r->n_outputs; i++) {
		const Coffer__V1__Output *o = r->outputs[i];
		uint8_t sha256[32];
		struct err err = ERR_INIT;
		SHA256((uint8_t *)bytes + at, o->size, sha256);
		if (memcmp(sha256, o->sha256.data, sizeof sha256) != 0)
			die("outputs", &(struct err){.text = "a wrong digest"});
		const char *to = o->kind == COFFER__V1__OUTPUT__KIND__DWO ? dwo : output;
		if (to && file_write_atomic(AT_FDCWD, to, bytes + at, o->size, 0644, &err) < 0)
			die(to, &err);
		at += o->size;
	}
}

static int run_one(void)
{
	struct answer a;
	struct err err = ERR_INIT;
	if (compile(channels[0], source.data, source.len, &a, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	const Coffer__V1__CompileResult *r = a.result->result;
	if (a.started_us)
		printf("started %lld\n", (long long)(a.started_us - a.began_us) / 1000);
	printf("%d %s %s\n", r->exit_status, r->cached ? "cached" : "run", r->limit);
	fwrite(r->out.data, 1, r->out.len, stdout);
	fwrite(r->err.data, 1, r->err.len, stderr);
	write_outputs(&a);
	int status = r->exit_status;
	buf_release(&a.frame);
	coffer__v1__compile_reply__free_unpacked(a.result, NULL);
	return status;
}

static int run_describe(void)
{
	Coffer__V1__DescribeRequest q = COFFER__V1__DESCRIBE_REQUEST__INIT;
	Coffer__V1__DescribeReply *r;
	struct rpc_call_options options = {.authorization = *authorization ? authorization : NULL};
	struct err err = ERR_INIT;
	q.image = plain(image);
	q.compiler = plain(compiler);
	q.language = plain(language);
	if (rpc_unary(channels[0], DESCRIBE, &options, &q.base, &coffer__v1__describe_reply__descriptor, &r, NULL, &err) <
	    0) {
		fprintf(stderr, "%s\n", err.text);
		return 3;
	}
	printf("%s\n%s\n%s\n", r->identity, r->version, r->target);
	for (size_t i = 0; i < r->defines.len; i++)
		printf("%02x", r->defines.data[i]);
	printf("\n");
	coffer__v1__describe_reply__free_unpacked(r, NULL);
	return 0;
}

// ---- many -----------------------------------------------------------------------------------------------------------

static void *work(void *arg)
{
	AUTO_FREE char *text = mem_alloc(source.len + 64);
	(void)arg;
	for (int i; (i = next_job++) < n_jobs;) {
		struct answer a;
		struct err err = ERR_INIT;
		int n = repeat ? 0 : sprintf(text, "/* %d %d */\n", (int)getpid(), i);
		memcpy(text + n, source.data, source.len);
		int rc = compile(channels[i % n_channels], text, source.len + (size_t)n, &a, &err);
		if (rc < 0 || a.result->result->exit_status != 0) {
			if (n_failed++ < 5)
				fprintf(stderr, "%s\n", rc < 0 ? err.text : (char *)a.result->result->err.data);
		}
		if (rc == 0) {
			const Coffer__V1__Usage *usage = a.result->result->usage;
			n_cached += a.result->result->cached;
			job_cpu_us += usage ? usage->user_us + usage->system_us : 0;
			coffer__v1__compile_reply__free_unpacked(a.result, NULL);
		}
		buf_release(&a.frame);
	}
	return NULL;
}

static double cpu_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int run_many(void)
{
	pthread_t *threads = mem_alloc((size_t)at_once * sizeof *threads);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	double cpu = cpu_s();
	int64_t began = now_us();
	for (int i = 0; i < at_once; i++)
		if (pthread_create(&threads[i], &attr, work, NULL) != 0)
			die("cannot start a thread", NULL);
	for (int i = 0; i < at_once; i++)
		pthread_join(threads[i], NULL);
	printf("jobs=%d failed=%d cached=%d wall_s=%.3f client_cpu_ms_per_job=%.3f job_cpu_ms=%.3f\n", n_jobs, n_failed,
	       n_cached, (double)(now_us() - began) / 1e6, (cpu_s() - cpu) * 1000 / n_jobs,
	       (double)job_cpu_us / 1000 / n_jobs);
	free(threads);
	return n_failed != 0;
}

// ---- words ----------------------------------------------------------------------------------------------------------

static void parse(int argc, char **argv)
{
	enum {
		IMAGE = 1,
		COMPILER,
		LANGUAGE,
		SUFFIX,
		OUTPUT,
		OUTPUT_NAME,
		DWO,
		TOKEN,
		CA,
		NAME,
		HINT,
		NO,
		FACTS,
		JOBS,
		ONCE,
		HOLD,
		REPEAT
	};
	static const struct option options[] = {
		{"image", 1, NULL, IMAGE},   {"compiler", 1, NULL, COMPILER}, {"language", 1, NULL, LANGUAGE},
		{"suffix", 1, NULL, SUFFIX}, {"output", 1, NULL, OUTPUT},     {"output-name", 1, NULL, OUTPUT_NAME},
		{"dwo", 1, NULL, DWO},       {"token", 1, NULL, TOKEN},       {"ca", 1, NULL, CA},
		{"hint", 0, NULL, HINT},     {"server-name", 1, NULL, NAME},  {"no-lookup", 0, NULL, NO},
		{"jobs", 1, NULL, JOBS},     {"describe", 0, NULL, FACTS},    {"at-once", 1, NULL, ONCE},
		{"hold", 1, NULL, HOLD},     {"repeat", 0, NULL, REPEAT},     {0}};
	const char **texts[] = {[IMAGE] = &image,   [COMPILER] = &compiler,       [LANGUAGE] = &language, [SUFFIX] = &suffix,
				[OUTPUT] = &output, [OUTPUT_NAME] = &output_name, [DWO] = &dwo,           [TOKEN] = &token,
				[CA] = &ca,         [NAME] = &server_name};
	for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		if (c >= IMAGE && c <= NAME)
			*texts[c] = optarg;
		else if (c == HINT)
			hint = true;
		else if (c == NO)
			no_lookup = true;
		else if (c == REPEAT)
			repeat = true;
		else if (c == FACTS)
			describe_only = true;
		else if (c == JOBS)
			n_jobs = atoi(optarg);
		else if (c == ONCE)
			at_once = atoi(optarg);
		else if (c == HOLD)
			hold_ms = atoi(optarg);
		else
			exit(2);
	}
	if (argc - optind < (describe_only ? 1 : 2) || n_jobs < 1 || at_once < 1)
		exit(2);
	address = argv[optind++];
	struct err err = ERR_INIT;
	if (!describe_only && file_read(AT_FDCWD, argv[optind++], (size_t)1 << 30, &source, NULL, &err) < 0)
		die("source", &err);
	arguments = argv + optind;
	n_arguments = (size_t)(argc - optind);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct loop *loop;
	struct rpc_tls *tls = NULL;
	parse(argc, argv);
	if (token)
		snprintf(authorization, sizeof authorization, "Bearer %s", token);
	struct rpc_tls_config keys = {.ca = ca};
	struct rpc_channel_config config = {.server_name = server_name, .limits = {.streams = 16384}};
	if (loop_start(&loop, &err) < 0 || (ca && rpc_tls_client(&keys, &tls, &err) < 0))
		die("start", &err);
	config.tls = tls;
	n_channels = (at_once + PER_CONNECTION - 1) / PER_CONNECTION;
	n_channels = n_channels > MAX_CONNECTIONS ? MAX_CONNECTIONS : n_channels;
	for (int i = 0; i < n_channels; i++)
		if (rpc_connect(loop, address, &config, 10000, &channels[i], &err) < 0)
			die(address, &err);
	int status = describe_only ? run_describe() : n_jobs > 1 ? run_many() : run_one();
	for (int i = 0; i < n_channels; i++)
		rpc_channel_release(channels[i]);
	loop_stop(loop);
	rpc_tls_free(tls);
	buf_release(&source);
	return status;
}
