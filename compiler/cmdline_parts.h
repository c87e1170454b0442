// Inside the command line parser: what its parts share. See cmdline.h.
//
// cmdline.c reads words and decides in the end, cmdline_options.c knows what each option means, cmdline_lists.c what is
// handed on to one stage (-Wa, -Wp, -Xclang…), cmdline_profiles.c profiles, cmdline_modules.c gcc's modules, cmdline_specs.c gcc's -specs files, cmdline_outputs.c the names of what the
// compiler writes.
#ifndef COFFER_COMPILER_CMDLINE_PARTS_H
#define COFFER_COMPILER_CMDLINE_PARTS_H

#include "compiler/cmdline.h"
#include "compiler/options.h"

struct dep_target {
	const char *name;
	bool quoted; // -MQ: to be escaped for make
};

enum split { SPLIT_NONE, SPLIT_FILE, SPLIT_SINGLE /* within the object */ };

struct parser {
	struct cmdline *c;
	struct arena *arena;
	enum compiler_family family;
	bool is_cxx;     // g++, clang++
	bool mode_given; // by --driver-mode=
	int cwd_fd;

	// The first word that asks for something else than a compile, and the first one that is not cached, with reasons
	enum reason mode, refusal;
	const char *mode_word, *refusal_word;

	bool to_object, to_assembly, llvm_output; // -c, -S, -emit-llvm
	bool syntax_only;                         // -fsyntax-only
	unsigned output_word, output_value;       // where -o stands
	const char *arch;                         // -arch

	const char *language; // the -x in effect, NULL: by suffix
	bool language_seen;   // any -x so far
	unsigned n_inputs;
	const char *source_language; // `language` and `language_seen` as they were at the first input
	bool source_language_seen;

	bool dep_all, dep_user;
	const char *dep_file, *dep_word; // -MF; any option that needs -MD or -MMD
	enum dep_style dep_wp;           // -Wp,-MD,dep_wp_file
	const char *dep_wp_file;
	struct dep_target *wp_targets; // -Wp,-MT,name: they come after the driver's own
	unsigned n_wp_targets;
	struct dep_target *targets;
	unsigned n_targets;

	enum split split;
	bool compilation_dir;
	bool coverage, notes, counters;
	const char *counters_place;
	const char *profile_used, *profile_directory; // gcc's -fprofile-use, and what it or -fprofile-dir says
	bool lto;
	const char *remarks_option, *remarks_file; // the option that asks for them; -foptimization-record-file=
	bool callgraph;
	const char *deps_format; // the word
	const char *record_f, *record_g;

	const char *cc1_pending; // the -Xclang word whose value the next -Xclang brings
	unsigned cc1_word;       // where that word stands
	bool cc1_debug;          // -Xclang -debug-info-kind=
	bool cc1_pch;            // -Xclang -emit-pch
	unsigned cc1_forced;     // of the forced includes: by -Xclang
};

// One option as it stands on the command line.
struct use {
	const struct option *option;
	const char *text;    // the word
	const char *value;   // NULL: it has none
	unsigned word;       // index of the word
	unsigned value_word; // the word that holds the value (may be the same), and where in it
	unsigned prefix;
};

// Remembers a reason not to cache; the first one counts.
void parser_refuse(struct parser *p, enum reason reason, const char *word);
void parser_add_extra(struct parser *p, const char *file);
void parser_add_forced(struct parser *p, const char *file);

// Puts response files in the place of their names. False: a reason was set. `words` gets everything after argv[0].
bool response_expand(struct parser *p, const char *const *argv);

void option_apply(struct parser *p, const struct use *u);
bool option_is_harmless(struct parser *p, const char *word); // one word, only code or warnings

// Whether gcc's spec file does no more than add options that only steer the code: "*self_spec:\n+ %{!fPIC:-fPIE}".
bool specs_are_harmless(struct arena *a, const char *text, size_t len);

// Actions of the table that have a file of their own
void apply_cpp(struct parser *p, const struct use *u);
void apply_as(struct parser *p, const struct use *u);
void apply_cc1(struct parser *p, const struct use *u);
void apply_llvm(struct parser *p, const struct use *u);
void apply_profile(struct parser *p, const struct use *u);
void apply_profile_default(struct parser *p, const struct use *u);
void apply_profile_data(struct parser *p, const struct use *u);
void apply_profile_file(struct parser *p, const struct use *u);
void apply_profile_directory(struct parser *p, const struct use *u);
void apply_modules(struct parser *p, const struct use *u);
void apply_mapper(struct parser *p, const struct use *u);
void apply_deps_format(struct parser *p, const struct use *u);
void apply_counters_place(struct parser *p, const struct use *u);
void apply_specs(struct parser *p, const struct use *u);

// The language of a file by -x or its suffix; LANG_NONE with a reason.
enum lang language_of(const struct parser *p, const char *file, enum reason *reason);

void outputs_name(struct parser *p);

#endif
