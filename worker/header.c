#include "worker/header.h"

#include "auth/token.h"
#include "base/mem.h"
#include "compiler/names.h"
#include "compiler/travel.h"
#include "sourcetree/source_tree.h"

#include <ctype.h>
#include <string.h>

static bool is_in(const char *text, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

bool header_wants(const Coffer__V1__CompileHeader *h, int kind)
{
	for (size_t i = 0; i < h->n_outputs; i++)
		if ((int)h->outputs[i]->kind == kind)
			return true;
	return false;
}

// Below the scratch directory: "x.o", "out/x.o".
static bool is_output_name(const char *name)
{
	size_t n = strlen(name);
	if (n > HEADER_MAX_OUTPUT_NAME)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("+-._/", name[i]))
			return false;
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += part != name;
		size_t len = strcspn(part, "/");
		if (len == 0 || len > 128 || part[0] == '.' || part[0] == '-')
			return false;
	}
	// Where the source is.
	return strncmp(name, "source.", 7) != 0;
}

static int check_outputs(const Coffer__V1__CompileHeader *h, const struct arguments *found, struct err *err)
{
	static const int kinds[] = {COFFER__V1__OUTPUT__KIND__OBJECT, COFFER__V1__OUTPUT__KIND__DWO,
				    COFFER__V1__OUTPUT__KIND__STACK_USAGE};
	if (h->n_outputs > HEADER_MAX_OUTPUTS)
		return err_set(err, ERR_USAGE, "more than %d outputs", HEADER_MAX_OUTPUTS);
	size_t known = 0;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		known += header_wants(h, kinds[i]);
	if (known != h->n_outputs)
		return err_set(err, ERR_USAGE, "an output is named twice, or is of a kind that is not made here");
	if (!header_wants(h, COFFER__V1__OUTPUT__KIND__OBJECT))
		return err_set(err, ERR_USAGE, "no object is asked for");
	if (header_wants(h, COFFER__V1__OUTPUT__KIND__STACK_USAGE) && !found->has_stack_usage)
		return err_set(err, ERR_USAGE, "a file of stack usage without -fstack-usage");
	if (header_wants(h, COFFER__V1__OUTPUT__KIND__DWO) && !found->has_split_dwarf)
		return err_set(err, ERR_USAGE, "a .dwo without -gsplit-dwarf");
	if (*h->output_name && !is_output_name(h->output_name))
		return err_set(err, ERR_USAGE, "'%.200s' is no name of an output", h->output_name);
	return 0;
}

int header_check(const Coffer__V1__CompileHeader *h, struct arguments *found, struct err *err)
{
	static const char *const languages[] = {
		"cpp-output",
		"c-cpp-output",
		"c++-cpp-output",
		"objective-c-cpp-output",
		"objective-c++-cpp-output",
		"objc-cpp-output",
		"objc++-cpp-output",
		"assembler",
	};
	static const char *const suffixes[] = {".i", ".ii", ".mi", ".mii", ".s"};
	if (!token_is_image(h->image))
		return err_set(err, ERR_USAGE, "an image is 'sha256:' and 64 hex digits, or 'host:' and a name");
	if (!is_in(h->language, languages, COUNT_OF(languages)))
		return err_set(err, ERR_USAGE, "'%.40s' is no language of preprocessed text", h->language);
	if (!is_in(h->suffix, suffixes, COUNT_OF(suffixes)))
		return err_set(err, ERR_USAGE, "'%.40s' is no suffix of preprocessed text", h->suffix);
	if (h->source_digest.len != 0 && h->source_digest.len != 32)
		return err_set(err, ERR_USAGE, "the source's digest has %zu bytes, not 32", h->source_digest.len);
	if (strlen(h->source_name) > ARGUMENT_MAX)
		return err_set(err, ERR_USAGE, "the source's name has more than %d bytes", ARGUMENT_MAX);
	if (arguments_check(h->compiler, (const char *const *)h->arguments, h->n_arguments, found, err) < 0)
		return -1;
	return check_outputs(h, found, err);
}

// ---- the user's own text --------------------------------------------------------------------------------------------

// Absolute, and without ".", ".." and empty parts.
static bool is_plain_path(const char *path)
{
	if (strlen(path) > HEADER_MAX_PATH || *path != '/')
		return false;
	for (const char *part = path; part; part = strchr(part, '/')) {
		size_t n = strcspn(++part, "/");
		if (n == 0 || n > 255 || (n <= 2 && strncmp(part, "..", n) == 0))
			return false;
	}
	return true;
}

// What a running system has there is no place for outputs.
static bool is_of_the_system(const char *path)
{
	size_t n = strcspn(path + 1, "/");
	return path[1 + n] == '/' && source_top_is_of_system(path + 1, n);
}

static int check_tree_outputs(const Coffer__V1__CompileHeader *h, struct err *err)
{
	static const int kinds[] = {COFFER__V1__OUTPUT__KIND__OBJECT, COFFER__V1__OUTPUT__KIND__DEPFILE,
				    COFFER__V1__OUTPUT__KIND__DWO, COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE};
	size_t known = 0;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		known += header_wants(h, kinds[i]);
	if (h->n_outputs > HEADER_MAX_OUTPUTS || known != h->n_outputs || !header_wants(h, COFFER__V1__OUTPUT__KIND__OBJECT))
		return err_set(err, ERR_USAGE, "the outputs are not an object, a .dwo and depfiles, each once");
	for (size_t i = 0; i < h->n_outputs; i++)
		if (!is_plain_path(h->outputs[i]->name) || is_of_the_system(h->outputs[i]->name))
			return err_set(err, ERR_USAGE, "'%.200s' is no name of an output", h->outputs[i]->name);
	return 0;
}

int header_check_tree(const Coffer__V1__CompileHeader *h, struct err *err)
{
	const Coffer__V1__CompileTree *t = h->tree;
	size_t bytes = 0;
	if (!token_is_image(h->image))
		return err_set(err, ERR_USAGE, "an image is 'sha256:' and 64 hex digits, or 'host:' and a name");
	if (!compiler_name_is_known(h->compiler))
		return err_set(err, ERR_USAGE, "'%.80s' is no name of a compiler that is known", h->compiler);
	if (*h->language || *h->suffix || *h->output_name || h->source_digest.len)
		return err_set(err, ERR_USAGE, "a tree and a text at once");
	if (!is_plain_path(t->directory))
		return err_set(err, ERR_USAGE, "'%.200s' is no directory to start in", t->directory);
	for (size_t i = 0; i < t->n_environment; i++) {
		bytes += strlen(t->environment[i]) + 1;
		if (!travel_variable(t->environment[i]))
			return err_set(err, ERR_USAGE, "the variable '%.80s' is not taken from clients", t->environment[i]);
	}
	for (size_t i = 0; i < h->n_arguments; i++)
		bytes += strlen(h->arguments[i]) + 1;
	if (h->n_arguments > HEADER_MAX_WORDS || bytes > HEADER_MAX_WORD_BYTES)
		return err_set(err, ERR_USAGE, "arguments and environment are longer than %d bytes", HEADER_MAX_WORD_BYTES);
	return check_tree_outputs(h, err);
}

int header_check_describe(const Coffer__V1__DescribeRequest *r, struct err *err)
{
	if (!token_is_image(r->image))
		return err_set(err, ERR_USAGE, "an image is 'sha256:' and 64 hex digits, or 'host:' and a name");
	if (!compiler_name_is_known(r->compiler))
		return err_set(err, ERR_USAGE, "'%.80s' is no name of a compiler that is known", r->compiler);
	if (strcmp(r->language, "c") != 0 && strcmp(r->language, "c++") != 0)
		return err_set(err, ERR_USAGE, "the language is 'c' or 'c++'");
	return 0;
}

// ---- kinds of outputs -----------------------------------------------------------------------------------------------

static const char *const kind_names[] = {
	[COFFER__V1__OUTPUT__KIND__OBJECT] = "object",
	[COFFER__V1__OUTPUT__KIND__DWO] = "dwo",
	[COFFER__V1__OUTPUT__KIND__STACK_USAGE] = "stack_usage",
	[COFFER__V1__OUTPUT__KIND__COVERAGE_NOTES] = "coverage_notes",
	[COFFER__V1__OUTPUT__KIND__CALLGRAPH_INFO] = "callgraph_info",
	[COFFER__V1__OUTPUT__KIND__DIAGNOSTICS] = "diagnostics",
	[COFFER__V1__OUTPUT__KIND__DEPFILE] = "depfile",
	[COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE] = "assembler_depfile",
};

const char *output_kind_name(int kind)
{
	return kind >= 0 && (size_t)kind < COUNT_OF(kind_names) ? kind_names[kind] : "?";
}

bool output_kind_is_passing(int kind)
{
	return kind == COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE;
}

int output_kind_by_name(const char *name, size_t n)
{
	for (size_t i = 0; i < COUNT_OF(kind_names); i++)
		if (strlen(kind_names[i]) == n && memcmp(kind_names[i], name, n) == 0)
			return (int)i;
	return -1;
}
