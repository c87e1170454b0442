#include "compiler/options.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Short names, so that the table fits on its lines.
enum {
	F = FORM_ALONE,
	J = FORM_JOINED,
	S = FORM_NEXT,
	S2 = FORM_NEXT_2,
	S3 = FORM_NEXT_3,
	A = FORM_REST_NEXT,
	R = FORM_READS_COMMENTS,
	GCC = 1 << FAMILY_GCC,
	CLANG = 1 << FAMILY_CLANG,
	BOTH = GCC | CLANG,
};

static const struct option table[] = {
#define OPTION(name, forms, family, action, reason) {name, sizeof name - 1, forms, family, OPTION_##action, reason},
#define KEEP(name, forms, family) OPTION(name, forms, family, keep, REASON_NONE)
#define ACT(action, name, forms, family) OPTION(name, forms, family, action, REASON_NONE)
#define REFUSE(why, name, forms, family) OPTION(name, forms, family, refuse, REASON_##why)
#define FAMILY(match, text, traits)
#include "compiler/options.def"
#undef FAMILY
#undef REFUSE
#undef ACT
#undef KEEP
#undef OPTION
};

// One family's options sorted by name. An option whose name is the beginning of others' names comes before them, and they
// know it as their parent: so one binary search finds the longest name that fits, and then all shorter ones.
struct index {
	const struct option *sorted[COUNT_OF(table)];
	const struct option **parent[COUNT_OF(table)]; // NULL: none
	size_t n;
};
static struct index indexes[2];

static int by_name(const void *a, const void *b)
{
	const struct option *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static void build(struct index *x, unsigned family)
{
	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (table[i].family & family)
			x->sorted[x->n++] = &table[i];
	qsort(x->sorted, x->n, sizeof *x->sorted, by_name);
	for (size_t i = 1; i < x->n; i++) {
		const struct option **p = &x->sorted[i - 1];
		while (p && strncmp((*p)->name, x->sorted[i]->name, (*p)->len) != 0)
			p = x->parent[p - x->sorted];
		x->parent[i] = p;
	}
}

static void build_indexes(void)
{
	build(&indexes[FAMILY_GCC], GCC);
	build(&indexes[FAMILY_CLANG], CLANG);
}

static bool fits(const struct option *o, const char *rest, const char **value, unsigned *n_next)
{
	bool joined = *rest ? o->forms & (J | A) : !(o->forms & (F | S | S2 | S3));
	if (*rest && !joined)
		return false;
	*value = joined ? rest : NULL;
	*n_next = joined ? o->forms & A ? 1 : 0 : o->forms & S ? 1 : o->forms & S2 ? 2 : o->forms & S3 ? 3 : 0;
	return true;
}

const struct option *option_find(enum compiler_family family, const char *word, const char **value, unsigned *n_next)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, build_indexes);

	const struct index *x = &indexes[family];
	size_t low = 0, high = x->n; // the last name that is not after the word is at low - 1
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (strcmp(x->sorted[mid]->name, word) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0)
		return NULL;
	for (const struct option *const *p = &x->sorted[low - 1]; p; p = x->parent[p - x->sorted])
		if (strncmp(word, (*p)->name, (*p)->len) == 0 && fits(*p, word + (*p)->len, value, n_next))
			return *p;
	return NULL;
}

const struct option *option_table(size_t *n)
{
	*n = COUNT_OF(table);
	return table;
}

// ---- families -------------------------------------------------------------------------------------------------------

enum match { WHOLE, BEGINS, CONTAINS };

static const struct family {
	enum match match;
	const char *text;
	unsigned traits;
} families[] = {
#define KEEP(name, forms, family)
#define ACT(action, name, forms, family)
#define REFUSE(why, name, forms, family)
#define USED_UP TRAIT_USED_UP
#define BOUND TRAIT_BOUND
#define COMPILES TRAIT_COMPILES
#define STEERS TRAIT_STEERS
#define NATIVE TRAIT_NATIVE
#define LTO TRAIT_LTO
#define OF_TEXT TRAIT_OF_TEXT
#define FAMILY(match, text, traits) {match, text, traits},
#include "compiler/options.def"
#undef FAMILY
#undef OF_TEXT
#undef LTO
#undef NATIVE
#undef STEERS
#undef COMPILES
#undef BOUND
#undef USED_UP
#undef REFUSE
#undef ACT
#undef KEEP
};

unsigned option_traits(const char *argument)
{
	unsigned traits = 0;
	for (size_t i = 0; i < COUNT_OF(families); i++) {
		const struct family *f = &families[i];
		bool fits = f->match == WHOLE    ? strcmp(argument, f->text) == 0
			    : f->match == BEGINS ? strncmp(argument, f->text, strlen(f->text)) == 0
						 : strstr(argument, f->text) != NULL;
		traits |= fits ? f->traits : 0;
	}
	// For preprocessor, assembler and linker: not what the family says.
	if (argument[0] == '-' && argument[1] == 'W' && argument[2] && argument[3] == ',')
		traits = (traits | TRAIT_BOUND) & ~(unsigned)TRAIT_STEERS;
	return traits;
}

bool option_is_native(const char *argument)
{
	const char *native = strstr(argument, "=native"), *end = native ? native + strlen("=native") : NULL;
	return end && (*end == '\0' || *end == ',');
}
