#include "agent/request.h"

#include <stdbool.h>
#include <string.h>

int request_check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);
	if (len == 0 || len > REQUEST_MAX_NAME)
		return err_set(err, ERR_USAGE, "a file name of %zu bytes", len);
	for (const char *part = name; part; part = strchr(part, '/')) {
		part += part != name;
		size_t n = strcspn(part, "/");
		bool is_dots = n <= 2 && strncmp(part, "..", n) == 0;
		if (is_dots || n > 255)
			return err_set(err, ERR_USAGE, "'%.200s' is not a name below the scratch folder", name);
	}
	return 0;
}

static int check_arguments(const Coffer__V1__ExecHeader *h, struct err *err)
{
	if (h->n_arguments == 0 || !h->arguments[0][0])
		return err_set(err, ERR_USAGE, "no program is named");
	if (h->n_arguments > REQUEST_MAX_ARGUMENTS)
		return err_set(err, ERR_USAGE, "more than %d arguments", REQUEST_MAX_ARGUMENTS);
	size_t total = 0;
	for (size_t i = 0; i < h->n_arguments; i++) {
		total += strlen(h->arguments[i]) + 1;
		if (total > REQUEST_ARGUMENT_BYTES)
			return err_set(err, ERR_USAGE, "more than %d bytes of arguments", REQUEST_ARGUMENT_BYTES);
	}
	for (size_t i = 0; h->tree && i < h->tree->n_environment; i++) {
		const char *word = h->tree->environment[i];
		total += strlen(word) + 1;
		if (*word == '=' || !strchr(word, '=') || total > REQUEST_ARGUMENT_BYTES)
			return err_set(err, ERR_USAGE, "an environment that is too long, or has a variable without a name");
	}
	return 0;
}

static int check_root(const Coffer__V1__ExecTree *t, struct err *err)
{
	if (!t->is_root && (t->n_writable || t->n_absent || t->n_whole))
		return err_set(err, ERR_USAGE, "an action with directories of a root");
	if (t->n_writable > REQUEST_MAX_OUTPUTS || t->n_absent > REQUEST_MAX_ABSENT || t->n_whole > REQUEST_MAX_WHOLE)
		return err_set(err, ERR_USAGE, "a root with too many directories or absent names");
	size_t bytes = 0;
	for (size_t i = 0; i < t->n_writable + t->n_whole; i++) {
		const char *name = i < t->n_writable ? t->writable[i] : t->whole[i - t->n_writable];
		bytes += strlen(name) + 1;
		if (request_check_name(name, err) < 0)
			return -1;
	}
	if (bytes > REQUEST_ROOT_BYTES)
		return err_set(err, ERR_USAGE, "a root whose directories have more than %d bytes of names",
			       REQUEST_ROOT_BYTES);
	for (size_t i = 0; i < t->n_absent; i++)
		if (t->absent[i][0] != '/')
			return err_set(err, ERR_USAGE, "an absent name that is not absolute");
	return 0;
}

static bool has_layer(const Coffer__V1__ExecTree *t, uint64_t id)
{
	for (size_t i = 0; i < t->n_layers; i++)
		if (t->layers[i] == id)
			return true;
	return false;
}

static int check_layers(const Coffer__V1__ExecTree *t, struct err *err)
{
	if (t->is_root && (t->n_layers || t->n_layers_made || t->n_layers_removed))
		return err_set(err, ERR_USAGE, "a root with layers");
	if (t->n_layers > REQUEST_MAX_LAYERS || t->n_layers_made > t->n_layers || t->n_layers_removed > REQUEST_MAX_REMOVED)
		return err_set(err, ERR_USAGE, "too many layers");
	for (size_t i = 0; i < t->n_layers_made; i++)
		if (!t->layers_made[i] || !has_layer(t, t->layers_made[i]))
			return err_set(err, ERR_USAGE, "a layer that is made and not used");
	return 0;
}

int request_check(const Coffer__V1__ExecHeader *h, struct err *err)
{
	if (check_arguments(h, err) < 0)
		return -1;
	if (h->source_name[0] && request_check_name(h->source_name, err) < 0)
		return -1;
	if (h->tree && (check_root(h->tree, err) < 0 || check_layers(h->tree, err) < 0))
		return -1;
	size_t most = h->tree ? REQUEST_TREE_OUTPUTS : REQUEST_MAX_OUTPUTS;
	if (h->n_outputs > most)
		return err_set(err, ERR_USAGE, "more than %zu outputs", most);
	if (h->tree && h->tree->directory[0] && request_check_name(h->tree->directory, err) < 0)
		return -1;
	for (size_t i = 0; i < h->n_outputs; i++)
		if (request_check_name(h->outputs[i], err) < 0)
			return -1;
	const Coffer__V1__Limits *l = h->limits;
	if (!l || !l->wall_ms || !l->cpu_s || !l->memory_bytes || !l->files || !l->processes || !l->file_bytes ||
	    !l->scratch_bytes || !l->message_bytes)
		return err_set(err, ERR_USAGE, "a limit is missing");
	return 0;
}
