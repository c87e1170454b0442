// The options of gcc (to 16) and clang (to 21) that a compiler cache has to tell apart, as one table (options.def).
//
// An option needs a line there if it takes its value from the next word, names a file, changes where files are looked for,
// leaves further files, or is refused. All other words of the families -f, -W, -m, -O, -g, -std and -p only steer the code
// or the warnings and need none, unless their names sound as if they were about files.
// Thread: any.
#ifndef COFFER_COMPILER_OPTIONS_H
#define COFFER_COMPILER_OPTIONS_H

#include "compiler/cmdline.h"

#include <stdbool.h>

// What cmdline.c does about an option. The value is the rest of the word or the next word.
#define OPTION_ACTIONS(X)                                                                                    \
	X(keep)        /* verbatim in the key, with its value */                                             \
	X(path)        /* the value is a path */                                                             \
	X(search)      /* it changes where headers are looked for; the value, if any, is a path */           \
	X(forced)      /* it includes the file that the value names */                                       \
	X(map)         /* a prefix map */                                                                    \
	X(extra)       /* the value names a file that the compiler reads and no depfile lists */             \
	X(refuse)      /* run it untouched, with the reason in the table */                                  \
	X(object)      /* -c */                                                                              \
	X(assembly)    /* -S */                                                                              \
	X(syntax)      /* -fsyntax-only */                                                                   \
	X(llvm_output) /* -emit-llvm: other default suffixes */                                              \
	X(output)      /* -o */                                                                              \
	X(language)    /* -x */                                                                              \
	X(dep_all)     /* -MD */                                                                             \
	X(dep_user)    /* -MMD */                                                                            \
	X(dep_file)    /* -MF */                                                                             \
	X(dep_target)  /* -MT */                                                                             \
	X(dep_quoted)  /* -MQ */                                                                             \
	X(dep_phony)   /* -MP */                                                                             \
	X(cpp)         /* -Wp,a,b and -Xpreprocessor a */                                                    \
	X(as)          /* -Wa,a,b and -Xassembler a */                                                       \
	X(cc1)         /* -Xclang a */                                                                       \
	X(llvm)        /* -mllvm a */                                                                        \
	X(xarch)       /* -Xarch_ARCH a */                                                                   \
	X(specs)       /* gcc's -specs=FILE */                                                               \
	X(driver_mode) /* clang's --driver-mode=g++ */                                                       \
	X(arch)        /* -arch */                                                                           \
	X(debug)       /* -g…: debug information of some level */                                          \
	X(split_dwarf) /* -gsplit-dwarf, also with =single */                                                \
	X(no_split_dwarf)                                                                                    \
	X(compilation_dir) /* -fdebug-compilation-dir */                                                     \
	X(coverage)        /* --coverage: notes and counters whatever else is said */                        \
	X(notes)           /* -ftest-coverage */                                                             \
	X(no_notes)                                                                                          \
	X(counters)       /* -fprofile-arcs, -fprofile-generate: the object names its data file */           \
	X(counters_place) /* -fprofile-note and friends: they change names if there are counters or notes */ \
	X(cwd)            /* the working directory is in the object */                                       \
	X(stack_usage)    /* -fstack-usage */                                                                \
	X(lto)                                                                                               \
	X(no_lto)                                                                                            \
	X(fallthrough)  /* -Wimplicit-fallthrough=N */                                                       \
	X(color)        /* -fdiagnostics-color and its kin */                                                \
	X(color_choice) /* -fdiagnostics-color=WHEN */                                                       \
	X(seed)         /* -frandom-seed= */                                                                 \
	X(profile)      /* clang: the value names a profile, or a directory with one */                      \
	X(profile_default)                                                                                   \
	X(profile_file)      /* the value names a profile */                                                 \
	X(profile_data)      /* gcc: the object's data file is read, from a directory if there is a value */ \
	X(profile_directory) /* gcc's -fprofile-dir= */                                                      \
	X(serialized)        /* --serialize-diagnostics: the value names a file that is written */           \
	X(remarks)           /* -fsave-optimization-record, also with =FORMAT */                             \
	X(remarks_file)      /* -foptimization-record-file= */                                               \
	X(callgraph)         /* -fcallgraph-info */                                                          \
	X(modules)           /* gcc's -fmodules: the unit may be none */                                     \
	X(mapper)            /* gcc's -fmodule-mapper=FILE */                                                \
	X(deps_format)       /* gcc's -fdeps-format=, which leaves a .ddi beside the depfile */              \
	X(sections)          /* -fbasic-block-sections=list=FILE */                                          \
	X(format)            /* -fdiagnostics-format=: some leave files */                                   \
	X(opt_info)          /* -fopt-info: leaves a file if there is a '=' */                               \
	X(record_f)          /* -frecord-gcc-switches */                                                     \
	X(no_record_f)                                                                                       \
	X(record_g) /* -grecord-command-line */                                                              \
	X(no_record_g)

enum option_action {
#define ACTION(name) OPTION_##name,
	OPTION_ACTIONS(ACTION)
#undef ACTION
		OPTION_ACTION_COUNT
};

// Where the value stands; several may be set.
enum option_form {
	FORM_ALONE = 1,      // no value
	FORM_JOINED = 2,     // the rest of the word, may be empty
	FORM_NEXT = 4,       // the next word, if the word is the option's name
	FORM_NEXT_2 = 8,     // the next two words
	FORM_NEXT_3 = 16,    // the next three words
	FORM_REST_NEXT = 32, // the rest of the word, and the next word is the value
	// Not a form: comments reach the result.
	FORM_READS_COMMENTS = 64,
};

struct option {
	const char *name;
	unsigned char len; // of the name
	unsigned char forms;
	unsigned char family; // 1 << enum compiler_family, or both
	unsigned char action;
	enum reason reason; // OPTION_refuse: why
};

// The option with the longest name that fits `word`, as both compilers choose; NULL if there is none. *value becomes the
// rest of the word or NULL, *n_next how many of the following words belong to the option.
const struct option *option_find(enum compiler_family family, const char *word, const char **value, unsigned *n_next);

// What is known of an argument besides how it is parsed: lines FAMILY of the table.
enum option_trait {
	TRAIT_USED_UP = 1, // the preprocessor has used it, or a worker says it itself: it does not travel
	TRAIT_BOUND =
		2, // it reads or writes files, asks what machine this is, or reads the text in another way: the compile stays here
	TRAIT_COMPILES = 4, // it says how preprocessed text is compiled: it travels
	TRAIT_STEERS =
		8, // it only steers code and warnings: a worker takes it from clients, where the table says nothing else of it
	TRAIT_NATIVE = 16, // gcc resolves it on the machine where it runs: its meaning travels
	TRAIT_LTO = 32,    // the object is the compiler's own language
	TRAIT_OF_TEXT =
		64, // with TRAIT_BOUND: only since preprocessed text has lost what it is about. The user's own text has it.
};
unsigned option_traits(const char *argument);
bool option_is_native(const char *argument); // "…=native": what it means depends on this machine's processor

// The table in its own order, for tests.
const struct option *option_table(size_t *n);

#endif
