#include "compiler/names.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

const char *const compiler_name_kinds[] = {"gcc", "g++", "cc", "c++", "c89", "c99", "clang", "clang++"};
const size_t n_compiler_name_kinds = COUNT_OF(compiler_name_kinds);

// Without a version behind the last '-': "gcc-12.2" is "gcc".
static size_t length_without_version(const char *name)
{
	size_t n = strlen(name), end = n;
	while (end && (isdigit((unsigned char)name[end - 1]) || name[end - 1] == '.'))
		end--;
	return end && end < n && name[end - 1] == '-' ? end - 1 : n;
}

static const char *kind_of_word(const char *word, size_t n)
{
	for (size_t i = 0; i < n_compiler_name_kinds; i++)
		if (strlen(compiler_name_kinds[i]) == n && memcmp(compiler_name_kinds[i], word, n) == 0)
			return compiler_name_kinds[i];
	return NULL;
}

const char *compiler_name_kind(const char *name)
{
	size_t end = length_without_version(name), from = end;
	while (from && name[from - 1] != '-')
		from--;
	return kind_of_word(name + from, end - from);
}

bool compiler_name_has_kind(const char *name)
{
	static const char between[] = "-._";
	for (const char *word = name; *word; word += strspn(word, between)) {
		size_t n = strcspn(word, between);
		if (kind_of_word(word, n))
			return true;
		word += n;
	}
	return false;
}

bool compiler_name_is_told(const char *list, const char *path, const char *name, bool *is_clang)
{
	static const char between[] = " \t";
	bool found = false;
	for (const char *s = list ? list + strspn(list, between) : ""; *s; s += strspn(s, between)) {
		size_t n = strcspn(s, between), name_len = n;
		while (name_len && s[name_len - 1] != ':')
			name_len--;
		const char *named = s[0] == '/' ? path : name;
		if (name_len && strlen(named) == name_len - 1 && memcmp(named, s, name_len - 1) == 0) {
			found = true;
			*is_clang = s[name_len] == 'c';
		}
		s += n;
	}
	return found;
}

bool compiler_name_is_of_a_cache(const char *name)
{
	static const char *const names[] = {"ccache", "sccache", "distcc",     "icecc",     "icerun",
					    "coffer", "gomacc",  "buildcache", "firebuild", "rewrapper"};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

bool compiler_name_is_known(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > 64 || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("+-._", name[i]))
			return false;
	return compiler_name_kind(name) != NULL;
}
