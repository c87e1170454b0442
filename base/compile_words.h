// Whether a command looks like a compile to who does not know its program: it says -c or -S, and names something like a source.
// Used by who puts coffer before the compilers that a script runs (client/follow), and by who decides to do so. Thread: any.
#ifndef COFFER_BASE_COMPILE_WORDS_H
#define COFFER_BASE_COMPILE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool word_is_like_a_source(const char *word)
{
	static const char *const ends[] = {"c", "C",  "cc", "cp", "cxx", "cpp", "CPP", "c++", "m", "mm", "M",
					   "i", "ii", "mi", "s",  "S",   "sx",  "h",   "hh",  "H", "hpp"};
	const char *dot = strrchr(word, '.');
	if (word[0] == '@' && word[1])
		return true; // a response file has the rest
	for (size_t i = 0; dot && word[0] != '-' && i < sizeof ends / sizeof *ends; i++)
		if (strcmp(dot + 1, ends[i]) == 0)
			return true;
	return strcmp(word, "/dev/null") == 0;
}

// `argv` with its first word, the program's name, which does not count.
static inline bool words_are_a_compile(const char *const *argv)
{
	bool compiles = false, has_source = false;
	for (size_t i = 1; argv[0] && argv[i]; i++) {
		compiles |= strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "-S") == 0 || argv[i][0] == '@';
		has_source |= word_is_like_a_source(argv[i]);
	}
	return compiles && has_source;
}

#endif
