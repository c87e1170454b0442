#include "service/metrics.h"

void metrics_family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_quoted(struct buf *b, const char *text)
{
	buf_addc(b, '"');
	for (; *text; text++) {
		if (*text == '\n')
			buf_adds(b, "\\n");
		else if (*text == '"' || *text == '\\')
			buf_addf(b, "\\%c", *text);
		else
			buf_addc(b, *text);
	}
	buf_addc(b, '"');
}

void metrics_value(struct buf *b, const char *name, const struct metrics_label *labels, size_t n, uint64_t value)
{
	buf_adds(b, name);
	for (size_t i = 0; i < n; i++) {
		buf_addf(b, "%c%s=", i ? ',' : '{', labels[i].name);
		add_quoted(b, labels[i].value);
	}
	buf_addf(b, "%s %llu\n", n ? "}" : "", (unsigned long long)value);
}

void metrics_single(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	metrics_family(b, name, type, help);
	metrics_value(b, name, NULL, 0, value);
}

void metrics_labelled(struct buf *b, const char *name, const char *help, const char *label, const char *const *names,
		      const uint64_t *values, size_t n)
{
	metrics_family(b, name, "counter", help);
	for (size_t i = 0; i < n; i++)
		metrics_value(b, name, &(struct metrics_label){label, names[i]}, 1, values[i]);
}
