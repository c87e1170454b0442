// What a compiler's command line means: the source, the outputs, what belongs in the key, and why it can't be cached.
//
// The parser knows the options of gcc and clang by one table (options.def). It never guesses: what it does not know is
// either one harmless word (kept verbatim in the key) or a reason to run the command untouched. It reads no file but
// response files (@file), through `cwd_fd`, and the spec files of gcc's -specs=. Everything returned lives in the arena.
// Thread: any.
#ifndef COFFER_COMPILER_CMDLINE_H
#define COFFER_COMPILER_CMDLINE_H

#include "base/mem.h"
#include "compiler/reason.h"

#include <stdbool.h>

enum compiler_family { FAMILY_GCC, FAMILY_CLANG };

enum lang {
	LANG_NONE,
	LANG_C,
	LANG_CXX,
	LANG_OBJC,
	LANG_OBJCXX,
	LANG_ASM_CPP,     // .S: preprocessed by us, then assembled
	LANG_ASM,         // .s: assembler only, no depfile can be asked for
	LANG_C_CPP_OUT,   // .i, .mi: already preprocessed; the compilers write no depfile
	LANG_CXX_CPP_OUT, // .ii, .mii
};

// As -x takes it: "c++". "c" for LANG_NONE.
const char *lang_name(enum lang lang);
// C, C++ and their Objective forms, not preprocessed yet.
static inline bool lang_is_of_c(enum lang lang)
{
	return lang == LANG_C || lang == LANG_CXX || lang == LANG_OBJC || lang == LANG_OBJCXX;
}

enum dep_style { DEP_NONE, DEP_ALL /* -MD */, DEP_USER /* -MMD: no system headers */ };

// The words of a command line after @file expansion. `origin` says how a word counts:
enum argument_role {
	ARGUMENT_KEY, // verbatim in the key
	ARGUMENT_KEY_PATH, // in the key with the build tree's prefix replaced; `prefix` bytes of option, then the path. It names a
	// file or a directory, but does not change where headers are looked for
	ARGUMENT_SEARCH, // as ARGUMENT_KEY_PATH, and it changes where headers are looked for (-I, --sysroot, -nostdinc, -m32…)
	ARGUMENT_WRITES,  // as ARGUMENT_KEY_PATH, and it makes a file: who asks the compiler something leaves it out
	ARGUMENT_NOT_KEY, // has no effect on the object: outputs, depfile names and targets, the source itself
	ARGUMENT_MAP,     // a prefix map the user gave (-ffile-prefix-map=…): its effect is in the key, not its text
};
struct argument {
	const char *text;
	enum argument_role role;
	unsigned
		prefix; // for paths: where in `text` the path begins (0 if the word is the path, its length if there is none)
	bool is_value;  // it is the value of the option before it, whatever it looks like
};

struct cmdline {
	enum reason reason;  // not REASON_NONE: run it untouched; nothing below is promised then
	const char *culprit; // the word that gave the reason, or NULL
	enum lang lang;
	bool assembles;     // -c (an object); false: -S (assembler text)
	const char *source; // as given
	const char
		*output;   // as given by -o, or the compiler's default name; CMDLINE_NO_OUTPUT: nothing is made but messages
	bool output_given; // -o was there

	struct argument *arguments; // argv[1..] with response files expanded (unchanged words where there were none)
	unsigned n_arguments;
	unsigned source_argument; // index into words

	// Depfile asked for by the user. `dep` belongs into the key: -Wp,-MD,file and -Wp,-MMD,file are ARGUMENT_NOT_KEY.
	enum dep_style dep;
	const char *depfile;      // its name: -MF, or the default by -o or source; NULL without one
	const char **dep_targets; // as they stand in the rule and in its order: -MQ and the default are escaped for make
	unsigned n_dep_targets;
	bool dep_phony; // -MP
	bool dep_wp;    // asked for by -Wp,-MD,file or -Wp,-MMD,file

	// Effects
	bool debug_info;          // the object has debug information: the working directory is in it
	bool split_dwarf;         // a .dwo beside the object, its name inside the object
	bool coverage_notes;      // a .gcno beside the object; absolute names inside the object
	bool stack_usage;         // a .su beside the object
	bool makes_pch;           // the output is a precompiled header
	bool needs_cwd;           // absolute working directory is in the object whatever prefix maps say
	bool needs_output;        // the output's name is in the object
	bool any_comment_matters; // -Wimplicit-fallthrough=1, -Wdocumentation, -gembed-source…: every comment counts
	bool has_random_seed;     // -frandom-seed=
	bool records_options; // gcc's -frecord-gcc-switches: since gcc 11 the options that count, before the whole command
	bool has_prefix_map;  // any -f…-prefix-map=

	const char *dwo; // names of the side outputs, NULL if there is none
	const char *gcno;
	const char *su;
	const char *serialized;   // clang's --serialize-diagnostics
	const char *remarks;      // -fsave-optimization-record
	const char *callgraph;    // -fcallgraph-info
	const char *listing;      // -Wa,-a…=FILE
	const char *ddi;          // -fdeps-format=p1689r5: which modules the unit makes and needs
	bool lists;               // -Wa,-a…, into a file or not
	bool lists_sources;       // …with the lines of the source that debug information names
	bool code_may_come_later; // LTO: with it .su and .ci are left out by some compilers

	// gcc's -fmodules: NULL without it, else the directory in which compiled modules and headers lie. They are not followed: the
	// unit may neither make nor use any.
	const char *modules_directory;

	// -fprofile-use of gcc: what the data file is called, as long as no directory is given; and the directory. NULL: no profile.
	const char *profile_data, *profile_directory;

	const char **extra_inputs; // files that options name and the depfile does not (ignore lists, profiles, -include-pch)
	unsigned n_extra_inputs;
	const char **forced; // what -include and -imacros name, in every spelling; looked for like #include "…", cwd first
	unsigned n_forced;
};

#define CMDLINE_NO_OUTPUT "/dev/null"
#define CMDLINE_MAX_WORDS 65536u
#define CMDLINE_MAX_RESPONSE ((size_t)16 << 20) // bytes of all response files together
#define CMDLINE_MAX_NESTING 16u

// `argv` is NULL-terminated and starts with the compiler's name, which is not looked at: the language comes from -x and
// suffixes, and g++ and clang++ (is_cxx_driver) treat .c as C++. Never fails: problems become `reason`.
void cmdline_parse(struct cmdline *c, struct arena *a, enum compiler_family family, bool is_cxx_driver, int cwd_fd,
		   const char *const *argv);

// Splits a response file's text into words as gcc (libiberty) and clang (GNU style) do: whitespace, '…', "…", and a
// backslash before any character, inside quotes too. Returns the number of words, or -1 for what the two read in different
// ways: an unfinished quote, a backslash at the end, an empty word '', NUL, form feed, vertical tab, a byte order mark.
// *words is NULL-terminated.
int response_split(struct arena *a, const char *text, size_t len, const char ***words);

// Escapes a target name for make as gcc and clang do for -MQ and the default target: `$` doubled, a backslash before `#`,
// space and tab, and before a blank the backslashes that stand there already are doubled.
char *make_escape(struct arena *a, const char *name);

#endif
