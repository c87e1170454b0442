#include "compiler/arguments.h"

#include "base/mem.h"
#include "base/text.h"
#include "compiler/names.h"
#include "compiler/options.h"

#include <ctype.h>
#include <string.h>

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, list[i]) == 0)
			return true;
	return false;
}

static bool begins_with_one_of(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text_begins(word, list[i]))
			return true;
	return false;
}

// ---- compilers ------------------------------------------------------------------------------------------------------

// As bits of 1 << enum compiler_family: a plain "cc" may be either.
static unsigned families_of(const char *name)
{
	const char *kind = compiler_name_kind(name);
	if (kind && text_begins(kind, "clang"))
		return 1u << FAMILY_CLANG;
	if (kind && (strcmp(kind, "gcc") == 0 || strcmp(kind, "g++") == 0))
		return 1u << FAMILY_GCC;
	return 1u << FAMILY_GCC | 1u << FAMILY_CLANG;
}

// ---- words ----------------------------------------------------------------------------------------------------------

// What is passed on to the assembler: no -I, no names.
static bool is_harmless_for_as(const char *list)
{
	static const char *const whole[] = {
		"--noexecstack", "--execstack", "--fatal-warnings", "-W",          "--no-warn", "--warn", "--64",
		"--32",          "--x32",       "-mthumb",          "--gen-debug", "-g"};
	static const char *const starts[] = {"-mrelax-relocations=",
					     "--compress-debug-sections",
					     "--nocompress-debug-sections",
					     "--gdwarf-",
					     "-mbranches-within-32B-boundaries",
					     "-march=",
					     "-mcpu=",
					     "-mfpu=",
					     "-mfloat-abi=",
					     "-mimplicit-it=",
					     "-mtune=",
					     "-mabi=",
					     "-mx86-used-note="};
	char part[128];
	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		size_t n = strcspn(at, ",");
		if (n == 0 || n >= sizeof part)
			return false;
		memcpy(part, at, n);
		part[n] = '\0';
		if (!is_one_of(part, whole, COUNT_OF(whole)) && !begins_with_one_of(part, starts, COUNT_OF(starts)))
			return false;
	}
	return true;
}

static bool only_steers(const char *word)
{
	return option_traits(word) & TRAIT_STEERS;
}

// What one compiler makes of a word that its table has.
static bool is_allowed(const struct option *o, const char *word, const char *value)
{
	switch ((enum option_action)o->action) {
	case OPTION_keep:
		return only_steers(word);
	case OPTION_object:
	case OPTION_assembly:
	case OPTION_llvm_output:
	case OPTION_debug:
	case OPTION_split_dwarf:
	case OPTION_no_split_dwarf:
	case OPTION_no_notes:
	case OPTION_no_record_f:
	case OPTION_no_record_g:
	case OPTION_no_lto:
	case OPTION_lto:
	case OPTION_stack_usage:
	case OPTION_fallthrough:
	case OPTION_color:
	case OPTION_color_choice:
	case OPTION_seed:
	case OPTION_map:
	case OPTION_compilation_dir:
		return true;
	case OPTION_as:
		return text_begins(word, "-Wa,") && is_harmless_for_as(word + 4);
	case OPTION_format:
		return value && !strstr(value, "file");
	case OPTION_opt_info:
		return !strchr(word, '=');
	case OPTION_sections:
		return value && strcmp(value, "all") == 0;
	default:
		return false;
	}
}

// These values are names that nobody opens: they are written into debug information.
static bool may_have_slash(const struct option *o)
{
	return o->action == OPTION_map || o->action == OPTION_compilation_dir || o->action == OPTION_seed;
}

static bool is_plain(const char *word)
{
	size_t n = strlen(word);
	if (n == 0 || n > ARGUMENT_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)word[i]))
			return false;
	return true;
}

static void note(struct arguments *found, const struct option *o)
{
	found->is_assembler_text |= o->action == OPTION_assembly;
	found->has_split_dwarf |= o->action == OPTION_split_dwarf;
	found->has_stack_usage |= o->action == OPTION_stack_usage;
	found->has_lto |= o->action == OPTION_lto;
	found->has_seed |= o->action == OPTION_seed;
	found->has_compilation_dir |= o->action == OPTION_compilation_dir;
}

// Two words that belong together. The table knows more of these, and none that a client would need.
static size_t pair_length(const char *word, const char *next)
{
	static const char *const pairs[] = {"--param", "-target"};
	if (!is_one_of(word, pairs, COUNT_OF(pairs)) || !next || next[0] == '-' || next[0] == '@' || strchr(next, '/') ||
	    !is_plain(next))
		return 0;
	return 2;
}

// Both tables are asked whatever the compiler is called, as a gcc may be a clang: what either knows as more than steering is
// refused.
static bool is_word_allowed(const char *word, unsigned families, struct arguments *found)
{
	// clang's -target x in one word.
	bool is_known = only_steers(word) || (families & 1u << FAMILY_CLANG && text_begins(word, "--target="));
	bool has_free_value = false;
	if (!is_plain(word) || word[0] != '-' || !word[1] || option_is_native(word))
		return false;
	for (unsigned f = FAMILY_GCC; f <= FAMILY_CLANG; f++) {
		const char *value = NULL;
		unsigned n_next = 0;
		const struct option *o = option_find((enum compiler_family)f, word, &value, &n_next);
		if (!o || text_begins(word, "--target="))
			continue;
		if (n_next || !is_allowed(o, word, value))
			return false;
		if (families & 1u << f) {
			is_known = true;
			has_free_value |= may_have_slash(o);
			note(found, o);
		}
	}
	return is_known && (has_free_value || !strchr(word, '/'));
}

int arguments_check(const char *compiler, const char *const *words, size_t n, struct arguments *found, struct err *err)
{
	unsigned families = families_of(compiler);
	size_t bytes = 0;
	*found = (struct arguments){.is_clang = families == 1u << FAMILY_CLANG};
	if (!compiler_name_is_known(compiler))
		return err_set(err, ERR_USAGE, "'%.80s' is no name of a compiler that is known", compiler);
	if (n > ARGUMENTS_MAX)
		return err_set(err, ERR_USAGE, "more than %d arguments", ARGUMENTS_MAX);
	for (size_t i = 0; i < n; i++)
		if ((bytes += strlen(words[i]) + 1) > ARGUMENTS_MAX_BYTES)
			return err_set(err, ERR_USAGE, "more than %d bytes of arguments", ARGUMENTS_MAX_BYTES);
	for (size_t i = 0; i < n;) {
		size_t pair = pair_length(words[i], i + 1 < n ? words[i + 1] : NULL);
		if (!pair && !is_word_allowed(words[i], families, found))
			return err_set(err, ERR_USAGE, "the argument '%.200s' is not taken from clients", words[i]);
		i += pair ? pair : 1;
	}
	return 0;
}
