#include "base/value.h"

#include "base/path.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_MAX = 60 };

struct unit {
	const char *suffix;
	int64_t factor;
};
static const struct unit size_units[] = {
	{"", 1},  {"K", (int64_t)1 << 10}, {"M", (int64_t)1 << 20}, {"G", (int64_t)1 << 30}, {"T", (int64_t)1 << 40},
	{NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					     {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

// "1.5G". By hand, because strtod takes "inf", "0x1p3" and the locale's decimal comma.
static bool parse_scaled(const char *s, const struct unit *units, int64_t *out)
{
	int64_t whole = 0, part = 0, part_of = 1;
	const char *p = s;
	for (; isdigit((unsigned char)*p); p++) {
		if (whole > INT64_MAX / 10 - 1)
			return false;
		whole = whole * 10 + (*p - '0');
	}
	if (p == s)
		return false;
	bool has_part = *p == '.';
	if (has_part) {
		const char *start = ++p;
		for (; isdigit((unsigned char)*p) && p - start < 6; p++) {
			part = part * 10 + (*p - '0');
			part_of *= 10;
		}
		if (p == start)
			return false;
	}
	for (; units->suffix; units++)
		if (strcasecmp(p, units->suffix) == 0)
			break;
	if (!units->suffix || (has_part && units->factor == 1) || whole > INT64_MAX / units->factor - 1)
		return false;
	*out = whole * units->factor + part * units->factor / part_of;
	return true;
}

static bool parse_integer(const char *s, int64_t *out)
{
	char *end;
	errno = 0;
	long long v = strtoll(s, &end, 10);
	*out = v;
	return end != s && !*end && errno == 0 && !isspace((unsigned char)*s);
}

static bool parse_bool(const char *s, int64_t *out)
{
	static const char *const words[][2] = {{"off", "on"}, {"false", "true"}, {"no", "yes"}, {"0", "1"}};
	for (size_t i = 0; i < COUNT_OF(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*out = value;
				return true;
			}
	return false;
}

static bool parse_choice(const char *choices, const char *s, int64_t *out)
{
	size_t n = strlen(s);
	int64_t at = 0;
	for (const char *p = choices; n && *p; at++) {
		size_t word = strcspn(p, "|");
		if (word == n && strncmp(p, s, n) == 0) {
			*out = at;
			return true;
		}
		p += word + (p[word] == '|');
	}
	return false;
}

bool value_split_address(struct arena *a, const char *text, const char **host, uint16_t *port)
{
	const char *start = text, *end, *colon;
	if (*text == '[') {
		start = text + 1;
		end = strchr(start, ']');
		colon = end && end[1] == ':' ? end + 1 : NULL;
	} else {
		end = colon = strchr(text, ':');
	}
	int64_t number = 0;
	if (!colon || !isdigit((unsigned char)colon[1]) || !parse_integer(colon + 1, &number) || number > UINT16_MAX)
		return false;
	for (const char *p = start; p < end; p++)
		if (!isalnum((unsigned char)*p) && !strchr(*text == '[' ? ":.%" : ".-_", *p))
			return false;
	*host = arena_strndup(a, start, (size_t)(end - start));
	*port = (uint16_t)number;
	return true;
}

static bool parse_address(const char *s, int64_t *out)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *host;
	uint16_t port = 0;
	bool is_address = !*s || value_split_address(&a, s, &host, &port);
	*out = port;
	return is_address;
}

static bool parse_addresses(const char *s, int64_t *out)
{
	static const char between[] = " \t,";
	AUTO_ARENA struct arena a = ARENA_INIT;
	for (size_t n; *(s += strspn(s, between)); s += n, ++*out) {
		int64_t port;
		n = strcspn(s, between);
		if (!parse_address(arena_strndup(&a, s, n), &port))
			return false;
	}
	return true;
}

static bool parse_families(const char *s, int64_t *out)
{
	static const char between[] = " \t", *const families[] = {":gcc", ":clang"};
	for (size_t n; *(s += strspn(s, between)); s += n, ++*out) {
		bool fits = false;
		n = strcspn(s, between);
		for (size_t i = 0; i < COUNT_OF(families); i++) {
			size_t len = strlen(families[i]);
			fits |= n > len && memcmp(s + n - len, families[i], len) == 0;
		}
		if (!fits || (memchr(s, '/', n) && s[0] != '/'))
			return false;
	}
	return true;
}

const char *value_parse(enum value_type type, const char *choices, const char *text, int64_t *number)
{
	*number = 0;
	switch (type) {
	case VALUE_BOOL:
		return parse_bool(text, number) ? NULL : "on or off";
	case VALUE_SIZE:
		return parse_scaled(text, size_units, number) ? NULL : "bytes, or a number with K, M, G or T";
	case VALUE_DURATION:
		return parse_scaled(text, duration_units, number) ? NULL : "a number with ms, s, m, h or d";
	case VALUE_INTEGER:
		return parse_integer(text, number) ? NULL : "a whole number";
	case VALUE_ADDRESS:
		return parse_address(text, number) ? NULL : "HOST:PORT";
	case VALUE_ADDRESSES:
		return parse_addresses(text, number) ? NULL : "HOST:PORT, or several with blanks between them";
	case VALUE_FAMILIES:
		return parse_families(text, number) ? NULL : "NAME:gcc or NAME:clang, or several with blanks between them";
	case VALUE_CHOICE:
		return parse_choice(choices, text, number) ? NULL : choices;
	case VALUE_ABSOLUTE:
		return !*text || *text == '/' ? NULL : "an absolute path";
	case VALUE_DIRECTORIES:
		return !*text || strcmp(text, "off") == 0 || path_list_is_absolute(text)
			       ? NULL
			       : "absolute folders with ':' between them, or off";
	case VALUE_PATH:
	case VALUE_TEXT:
	case VALUE_LIST:
		break;
	}
	return NULL;
}

const char *value_text(struct arena *a, enum value_type type, int64_t number)
{
	const struct unit *units = type == VALUE_SIZE ? size_units : type == VALUE_DURATION ? duration_units : NULL;
	if (type == VALUE_BOOL)
		return number ? "on" : "off";
	if (!units || number < 0)
		return arena_printf(a, "%lld", (long long)number);
	const struct unit *best = units;
	for (const struct unit *u = units; u->suffix; u++)
		if (number % u->factor == 0 && (number || u == units))
			best = u;
	return arena_printf(a, "%lld%s", (long long)(number / best->factor), best->suffix);
}

const char *value_type_word(enum value_type type)
{
	static const char *const words[] = {
		[VALUE_BOOL] = "on|off",
		[VALUE_SIZE] = "SIZE",
		[VALUE_DURATION] = "DURATION",
		[VALUE_INTEGER] = "N",
		[VALUE_PATH] = "FILE",
		[VALUE_ADDRESS] = "HOST:PORT",
		[VALUE_ADDRESSES] = "HOST:PORT…",
		[VALUE_FAMILIES] = "NAME:FAMILY…",
		[VALUE_CHOICE] = "CHOICE",
		[VALUE_TEXT] = "TEXT",
		[VALUE_LIST] = "WORD...",
		[VALUE_ABSOLUTE] = "FILE",
		[VALUE_DIRECTORIES] = "FOLDER:...",
	};
	return words[type];
}

const char *value_shown(struct arena *a, const char *text)
{
	size_t n = strlen(text);
	char *out = arena_printf(a, "%.*s%s", SHOWN_MAX, text, n > SHOWN_MAX ? "..." : "");
	value_make_plain(out);
	return out;
}

void value_make_plain(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		bool is_c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0; // U+0080 to U+009F
		if (is_c1)
			*p++ = '?';
		if (is_c1 || *p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

bool value_is_name(const char *text, size_t most, const char *others)
{
	size_t n = 0;
	for (; text[n]; n++)
		if (n == most || !((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
				   (text[n] >= '0' && text[n] <= '9') || strchr(others, text[n])))
			return false;
	return n > 0;
}

static bool is_loopback(const char *host)
{
	struct in_addr four;
	struct in6_addr six;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &six) == 1)
		return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
	return strcmp(host, "localhost") == 0;
}

bool value_is_of_this_machine(const char *address)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *host;
	uint16_t port;
	if (strncmp(address, "unix:", 5) == 0)
		return true;
	return value_split_address(&a, address, &host, &port) && is_loopback(host);
}
