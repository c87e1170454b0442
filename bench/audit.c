// Writes rows into an audit log and says what each has cost: audit DIR ROWS. CPU of the whole process, with its signing thread.
#include "audit/log.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

int main(int argc, char **argv)
{
	struct audit_log_config config = {.directory = argv[1], .origin = "bench"};
	struct audit_log *log;
	struct err err = ERR_INIT;
	struct rusage u;
	long n = argc > 2 ? atol(argv[2]) : 0;
	if (n < 1 || audit_log_open(&config, &log, &err) < 0) {
		fprintf(stderr, "coffer: audit DIR ROWS: %s\n", err.text);
		return 1;
	}
	int64_t began = clock_ns();
	for (long i = 0; i < n; i++) {
		char job[AUDIT_JOB_ID], source[80], key[80];
		struct audit_row row = {
			.value[AUDIT_tenant] = "web", .value[AUDIT_worker] = "w1", .value[AUDIT_isolation] = "sandbox"};
		if (audit_log_start(log, &row, job, &err) < 0)
			break;
		// Numbers that lie as widely apart as digests do.
		unsigned long spread = (unsigned long)i * 0x9e3779b97f4a7c15UL;
		snprintf(source, sizeof source, "sha256:%016lx%048lx", spread, i);
		snprintf(key, sizeof key, "sha256:%016lx%048lx", ~spread, i);
		row.value[AUDIT_image_digest] = "host:1b2d814d3665bd07939c34a0ea61be00";
		row.value[AUDIT_source_digest] = row.value[AUDIT_output_digest] = source;
		row.value[AUDIT_key] = key;
		row.value[AUDIT_flags] = "-O2 -g -Wall -Wextra -std=gnu17 -fPIC -ffile-prefix-map=/src/p/=./";
		row.value[AUDIT_outcome] = "run";
		row.value[AUDIT_exit] = "0";
		row.value[AUDIT_duration] = "154054";
		if (audit_log_finish(log, &row, NULL, &err) < 0)
			break;
	}
	audit_log_close(log);
	getrusage(RUSAGE_SELF, &u);
	double cpu =
		(double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
	printf("rows=%ld cpu_us_per_row=%.1f wall_us_per_row=%.1f\n", n, cpu / (double)n,
	       (double)(clock_ns() - began) / 1e3 / (double)n);
	if (err.code != ERR_NONE)
		fprintf(stderr, "coffer: %s\n", err.text);
	return err.code != ERR_NONE;
}
