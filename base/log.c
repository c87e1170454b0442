#include "base/log.h"

#include "base/json.h"
#include "base/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static enum log_level most_shown = LOG_LEVEL_INFO;
static enum log_format shown_as = LOG_FORMAT_TEXT;

void log_set_level(enum log_level most)
{
	most_shown = most;
}

void log_set_format(enum log_format format)
{
	shown_as = format;
}

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static void begin_text(struct buf *line, enum log_level level)
{
	char when[32];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_addf(line, "%s.%03ld %s ", when, now.tv_nsec / 1000000, level_names[level]);
}

static void begin_json(struct buf *line, enum log_level level, const char *event)
{
	char when[40];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
	buf_addc(line, '{');
	json_add_field(line, "time", when);
	json_add_field(line, "level", level_names[level]);
	json_add_field(line, "event", event);
}

// In one write, so that lines of threads do not mix.
static void end_line(struct buf *line)
{
	buf_addc(line, '\n');
	(void)!write(STDERR_FILENO, line->data, line->len);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if (level > most_shown)
		return;
	char text[LINE_MAX_BYTES / 4];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	AUTO_BUF struct buf line = BUF_INIT;
	if (shown_as == LOG_FORMAT_JSON) {
		begin_json(&line, level, text);
		buf_addc(&line, '}');
	} else {
		value_make_plain(text); // it may quote what another machine has said
		begin_text(&line, level);
		buf_adds(&line, text);
	}
	end_line(&line);
}

static bool is_word(const char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '"' || *p == '\\' || *p == '=')
			return false;
	return *s;
}

// As a word, or quoted where it would not be one.
static void add_text_field(struct buf *line, const struct log_field *f)
{
	buf_addf(line, " %s=", f->name);
	if (!f->text)
		buf_addf(line, "%lld", (long long)f->number);
	else if (is_word(f->text))
		buf_adds(line, f->text);
	else
		json_add_str(line, f->text);
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	if (level > most_shown)
		return;
	AUTO_BUF struct buf line = BUF_INIT;
	bool is_json = shown_as == LOG_FORMAT_JSON;
	if (is_json)
		begin_json(&line, level, event);
	else
		begin_text(&line, level);
	if (!is_json)
		buf_adds(&line, event);
	for (size_t i = 0; i < n; i++) {
		size_t before = line.len;
		if (!is_json)
			add_text_field(&line, &fields[i]);
		else if (fields[i].text)
			json_add_field(&line, fields[i].name, fields[i].text);
		else
			json_add_number(&line, fields[i].name, fields[i].number);
		if (line.len > LINE_MAX_BYTES) {
			line.len = before; // a field that is too long is left out whole: the line stays JSON
			line.data[before] = '\0';
		}
	}
	if (is_json)
		buf_addc(&line, '}');
	end_line(&line);
}
