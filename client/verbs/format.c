#include "client/verbs/format.h"

#include "base/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *format_bytes(struct arena *a, uint64_t n)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;
	double v = (double)n;
	for (; v >= 1024 && unit + 1 < COUNT_OF(units); unit++)
		v /= 1024;
	return arena_printf(a, "%.*f %s", unit && v < 100 ? 1 : 0, v, units[unit]);
}

const char *format_duration(struct arena *a, uint64_t us)
{
	uint64_t s = us / 1000000;
	if (s < 1)
		return arena_printf(a, "%llu ms", (unsigned long long)us / 1000);
	if (s < 60)
		return arena_printf(a, "%.1f s", (double)us / 1e6);
	if (s < 3600)
		return arena_printf(a, "%llu min %llu s", (unsigned long long)s / 60, (unsigned long long)s % 60);
	return arena_printf(a, "%llu h %llu min", (unsigned long long)s / 3600, (unsigned long long)s / 60 % 60);
}

const char *format_percent(struct arena *a, uint64_t part, uint64_t whole)
{
	return whole ? arena_printf(a, "%.1f %%", 100.0 * (double)part / (double)whole) : "";
}

const char *format_date(struct arena *a, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[64];
	if (!localtime_r(&t, &tm) || strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm) == 0)
		return "";
	return arena_strdup(a, text);
}

static bool has_colour(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
}

const char *format_style(enum style s)
{
	static const char *const escapes[STYLE_COUNT] = {
		[STYLE_HEADING] = "\033[1m", [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m"};
	return has_colour() ? escapes[s] : "";
}

const char *format_plain(void)
{
	return has_colour() ? "\033[0m" : "";
}

void put_field(const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '\t':
			fputs("\\t", stdout);
			break;
		case '\n':
			fputs("\\n", stdout);
			break;
		case '\\':
			fputs("\\\\", stdout);
			break;
		default:
			putchar(*text);
		}
}

json_t *json_text(const char *text)
{
	json_t *j = json_string(text);
	if (j)
		return j;
	AUTO_FREE char *ascii = mem_strdup(text);
	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

void put_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

const char *format_shown(struct arena *a, const char *text)
{
	char *copy = arena_strdup(a, text);
	for (char *p = copy; (p = strchr(p, '\t'));)
		*p = ' ';
	value_make_plain(copy);
	return copy;
}
