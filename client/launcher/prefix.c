#include "client/launcher/launcher.h"

#include "base/self.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

// Programs that run a command under other conditions, and which of their options take the next word as a value.
static const struct prefix {
	const char *name;
	const char *valued;      // letters
	const char *valued_long; // "--unset --chdir": without '=' they take the next word
	unsigned operands;       // before the command
	bool assigns;            // NAME=VALUE may stand before it
} prefixes[] = {
	{"env", "uC", "--unset --chdir", 0, true},
	{"nice", "n", "--adjustment", 0, false},
	{"timeout", "ks", "--kill-after --signal", 1, false},
	{"stdbuf", "ioe", "--input --output --error", 0, false},
	{"ionice", "cn", "--class --classdata", 0, false},
	{"nohup", "", "", 0, false},
	{"setsid", "", "", 0, false},
	{"time", "fo", "--format --output", 0, false},
	{"chrt", "TPD", "--sched-runtime --sched-period --sched-deadline", 1, false},
	{"taskset", "", "", 1, false},
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static const struct prefix *find_prefix(const char *word)
{
	for (size_t i = 0; i < COUNT_OF(prefixes); i++)
		if (strcmp(base_of(word), prefixes[i].name) == 0)
			return &prefixes[i];
	return NULL;
}

static bool ends_with(const char *name, size_t n, const char *end)
{
	size_t len = strlen(end);
	return n >= len && memcmp(name + n - len, end, len) == 0 && (n == len || name[n - len - 1] == '-');
}

// "gcc", "x86_64-linux-gnu-g++-12", "clang-19", "cc": by its name; what it really is the daemon finds out.
static bool sounds_like_compiler(const char *word)
{
	static const char *const ends[] = {"gcc", "g++", "clang", "clang++", "cc", "c++", "c99", "c89"};
	const char *name = base_of(word);
	size_t n = strlen(name);
	size_t version = n;
	while (version && (isdigit((unsigned char)name[version - 1]) || name[version - 1] == '.'))
		version--;
	if (version && version < n && name[version - 1] == '-')
		n = version - 1;
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		if (ends_with(name, n, ends[i]))
			return true;
	return false;
}

static bool is_word_of(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return n != 0;
	return false;
}

// How many words the option at argv[i] takes. "-n5" and "-uNAME" hold their values.
static unsigned option_words(const struct prefix *p, const char *word)
{
	if (word[1] == '-')
		return is_word_of(p->valued_long, word) ? 2 : 1;
	for (const char *c = word + 1; *c; c++)
		if (strchr(p->valued, *c))
			return c[1] ? 1 : 2;
	return 1;
}

// Where the command of a prefix stands; 0: not where it can be told.
static unsigned command_of(char *const *argv, unsigned i)
{
	const struct prefix *p = find_prefix(argv[i]);
	unsigned operands = p->operands;
	bool options = true;
	for (i++; argv[i]; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			// env -S splits a text into words.
			if (strcmp(p->name, "env") == 0 && (argv[i][1] == 'S' || strncmp(argv[i], "--split", 7) == 0))
				return 0;
			for (unsigned more = option_words(p, argv[i]); more > 1 && argv[i + 1]; more--)
				i++;
		} else if (p->assigns && strchr(argv[i], '=')) {
			options = false;
		} else if (operands) {
			operands--;
		} else {
			return i;
		}
	}
	return 0;
}

bool launcher_is_prefix(const char *word)
{
	return find_prefix(word) != NULL;
}

// The command is found behind as many prefixes as there are.
char **launcher_prefix_words(struct launch *l)
{
	unsigned at = 0, n = 0;
	do
		at = command_of(l->argv, at);
	while (at && find_prefix(l->argv[at]));
	char *self = at && sounds_like_compiler(l->argv[at]) ? self_file(&l->arena) : NULL;
	if (!self)
		return NULL;
	while (l->argv[n])
		n++;
	char **argv = arena_alloc(&l->arena, (n + 2) * sizeof *argv);
	memcpy(argv, l->argv, at * sizeof *argv);
	argv[at] = self;
	memcpy(argv + at + 1, l->argv + at, (n - at) * sizeof *argv);
	return argv;
}
