// Numbers for Prometheus, in its text format (https://prometheus.io/docs/instrumenting/exposition_formats/). Thread: any.
//
//	metrics_family(&b, "coffer_worker_jobs_total", "counter", "jobs done since the start");
//	metrics_value(&b, "coffer_worker_jobs_total", (struct metrics_label[]){{"worker", "w1"}}, 1, 17);
#ifndef COFFER_SERVICE_METRICS_H
#define COFFER_SERVICE_METRICS_H

#include "base/buf.h"

struct metrics_label {
	const char *name, *value; // any bytes in the value
};
// Before the values of that name: type is "counter" or "gauge".
void metrics_family(struct buf *b, const char *name, const char *type, const char *help);
void metrics_value(struct buf *b, const char *name, const struct metrics_label *labels, size_t n, uint64_t value);
// A family with one value.
void metrics_single(struct buf *b, const char *name, const char *type, const char *help, uint64_t value);

// A family of counters with one label: names[i] has values[i].
void metrics_labelled(struct buf *b, const char *name, const char *help, const char *label, const char *const *names,
		      const uint64_t *values, size_t n);

#endif
