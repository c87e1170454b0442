#include "client/job/comparable.h"

#include "base/text.h"

#include <string.h>

enum { GCC_WITH_LIVE_TEXT = 11 }; // -fdirectives-only that knows literals and comments

// Comments can't change the result, as long as nothing reads them: no warning about them, no checksum of the source in the
// debug information (clang), no source text in the output, and "//" is a comment at all (compiler/options.def).
bool comparable_without_comments(const struct plan *p)
{
	const struct cmdline *l = &p->line;
	bool c_family = l->lang == LANG_C || l->lang == LANG_CXX || l->lang == LANG_OBJC || l->lang == LANG_OBJCXX;
	return setting_bool(p->config, SETTING_preprocessed) && c_family && !l->makes_pch && !l->any_comment_matters &&
	       !l->coverage_notes && !(p->compiler->family == FAMILY_CLANG && l->debug_info);
}

// All that the result depends on is in the text that the preprocessor prints, or in the arguments that it does not use up: no
// macros in debug information, no record of the command line, no further files.
bool comparable_preprocessed(const struct plan *p)
{
	static const char *const telling[] = {"-frecord-",      "-grecord-",    "-fdebug-macro", "-Weverything",      "-Wp,",
					      "-Xpreprocessor", "-traditional", "-fplugin",      "-fdirectives-only", "--"};
	// With clang the text has macros expanded, and columns are not what they were.
	static const char *const columns[] = {"-fsanitize", "-fprofile", "-fcoverage", "-fcs-profile",
					      "-fxray",     "-R",        "-fsave-",    "-fmodules"};
	const struct cmdline *l = &p->line;
	bool is_gcc = p->compiler->family == FAMILY_GCC;
	if (!setting_bool(p->config, SETTING_text_hits) || !comparable_without_comments(p) || p->lto || l->n_extra_inputs ||
	    l->modules_directory || (is_gcc && p->compiler->version < GCC_WITH_LIVE_TEXT))
		return false;
	for (unsigned i = 0; i < l->n_arguments; i++) {
		const char *t = l->arguments[i].text;
		size_t n = strlen(t);
		if (l->arguments[i].is_value || l->arguments[i].role == ARGUMENT_NOT_KEY)
			continue;
		if (text_begins(t, "-g") && t[n - 1] == '3' && strcmp(t, "-gdwarf-3") != 0)
			return false;
		for (size_t k = 0; k < COUNT_OF(columns) && !is_gcc; k++)
			if (text_begins(t, columns[k]))
				return false;
		for (size_t k = 0; k < COUNT_OF(telling); k++)
			if (text_begins(t, telling[k]))
				return false;
	}
	return true;
}
