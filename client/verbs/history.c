#include "client/verbs/history.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>

enum { JOURNAL_READ_MAX = 64 << 20 };

static int load_file(struct history *h, const char *path, struct err *err)
{
	AUTO_BUF struct buf text = {.max = JOURNAL_READ_MAX + 1};
	struct err own = ERR_INIT;
	if (file_read(AT_FDCWD, path, JOURNAL_READ_MAX, &text, NULL, &own) < 0) {
		if (own.code == ERR_NOT_FOUND)
			return 0;
		return err_take(err, &own);
	}
	char *save = NULL;
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *record = json_loads(line, 0, NULL);
		if (json_is_object(record))
			json_array_append(h->records, record);
		json_decref(record);
	}
	return 0;
}

int history_load(struct history *h, const char *cache_dir, struct err *err)
{
	static const char *const names[] = {"journal.1.jsonl", "journal.jsonl"};
	h->records = json_array();
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		AUTO_FREE char *path = mem_printf("%s/v1/%s", cache_dir, names[i]);
		if (load_file(h, path, err) < 0)
			return -1;
	}
	return 0;
}

void history_release(struct history *h)
{
	json_decref(h->records);
}

const char *record_text(const json_t *record, const char *name)
{
	const char *s = json_string_value(json_object_get(record, name));
	return s ? s : "";
}

double record_seconds(const json_t *record)
{
	return (double)json_integer_value(json_object_get(record, "wall_us")) / 1e6;
}

bool record_is_hit(const json_t *record)
{
	const char *outcome = record_text(record, "outcome");
	return strcmp(outcome, "direct_hit") == 0 || strcmp(outcome, "preprocessed_hit") == 0;
}

static bool same(const json_t *a, const json_t *b)
{
	return (!a && !b) || (a && b && json_equal(a, b));
}

// A reason with what gave it, or a cause with all that has changed.
bool record_same_cause(const json_t *x, const json_t *y)
{
	const char *reason = record_text(x, "reason");
	if (strcmp(reason, record_text(y, "reason")) != 0)
		return false;
	if (reason[0])
		return strcmp(record_text(x, "culprit"), record_text(y, "culprit")) == 0;
	const json_t *a = json_object_get(x, "cause"), *b = json_object_get(y, "cause");
	return a && b && same(a, b);
}
