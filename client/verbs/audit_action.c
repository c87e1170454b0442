#include "client/verbs/audit_action.h"

#include "reapi/input_root.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 16 << 20 };

// A directory at one of its places, and a file in it.
struct action_directory {
	const struct action_directory *parent; // NULL: the top
	const char *name;
};
struct action_file {
	const struct action_directory *place;
	const Reapi__FileNode *node;
	uint8_t sha256[32];
};

struct audit_action {
	struct results *results;
	const char *tenant;
	struct arena arena;
	Reapi__Action *action;
	Reapi__Command *command;
	Reapi__ActionResult *result;
	struct input_root root;
	struct action_file *entries;
	size_t n_entries, room;
	struct provenance_tree tree;
};

// ---- what the digests lead to -----------------------------------------------------------------------------------------

static int get(void *ctx, const struct reapi_digest *d, struct buf *out, struct err *err)
{
	struct audit_action *x = ctx;
	out->max = MESSAGE_MAX;
	return results_get_content(x->results, x->tenant, d, out, err);
}

static bool digest_in(const char *value, struct reapi_digest *d)
{
	d->size = -1; // a row has none
	return audit_digest_read(value, &d->hash);
}

static bool load(struct audit_action *x, const struct reapi_digest *d, const ProtobufCMessageDescriptor *descriptor,
		 void *message)
{
	AUTO_BUF struct buf bytes = BUF_INIT;
	return get(x, d, &bytes, NULL) == 1 &&
	       reapi_unpack(descriptor, bytes.data ? bytes.data : "", bytes.len, message, NULL) == 0;
}

static bool load_all(struct audit_action *x, const struct audit_row *row)
{
	struct reapi_digest action, command, root, result;
	return digest_in(row->value[AUDIT_key], &action) && digest_in(row->value[AUDIT_output_digest], &result) &&
	       load(x, &action, &reapi__action__descriptor, &x->action) &&
	       reapi_digest_read(x->action->command_digest, &command, NULL) == 0 &&
	       load(x, &command, &reapi__command__descriptor, &x->command) &&
	       load(x, &result, &reapi__action_result__descriptor, &x->result) &&
	       reapi_digest_read(x->action->input_root_digest, &root, NULL) == 0 &&
	       input_root_read(&x->root, &root, get, x, NULL) == 0 && x->root.n_missing == 0;
}

// ---- the files of the input root ----------------------------------------------------------------------------------------

static void add_entry(struct audit_action *x, const struct action_directory *place, const Reapi__FileNode *node)
{
	struct reapi_digest d;
	if (x->n_entries == x->room) {
		x->room = x->room ? 2 * x->room : 64;
		x->entries = mem_realloc(x->entries, x->room * sizeof *x->entries);
	}
	if (reapi_digest_read(node->digest, &d, NULL) < 0)
		return; // input_root_read has looked
	struct action_file *e = &x->entries[x->n_entries++];
	*e = (struct action_file){.place = place, .node = node};
	memcpy(e->sha256, d.hash.b, sizeof e->sha256);
}

// At most INPUT_MAX_DEPTH deep and INPUT_MAX_ENTRIES in all, as input_root_read has found.
static void add_directory(struct audit_action *x, const struct action_directory *place,
			  const struct input_directory *d) // NOLINT(misc-no-recursion)
{
	for (size_t i = 0; i < d->message->n_files; i++)
		add_entry(x, place, d->message->files[i]);
	for (size_t i = 0; i < d->message->n_directories; i++) {
		const Reapi__DirectoryNode *node = d->message->directories[i];
		struct action_directory *below = arena_alloc(&x->arena, sizeof *below);
		*below = (struct action_directory){place, node->name};
		add_directory(x, below, input_root_find(&x->root, node->digest));
	}
}

static void add_place(struct buf *name, const struct action_directory *p) // NOLINT(misc-no-recursion)
{
	if (!p)
		return;
	add_place(name, p->parent);
	buf_adds(name, p->name);
	buf_addc(name, '/');
}

static const uint8_t *file(const void *files, size_t i, struct buf *name)
{
	const struct action_file *e = (const struct action_file *)files + i;
	add_place(name, e->place);
	buf_adds(name, e->node->name);
	return e->sha256;
}

// ---- in the statement's words -------------------------------------------------------------------------------------------

static void describe_outputs(struct audit_action *x)
{
	const Reapi__ActionResult *r = x->result;
	struct reapi_digest d;
	struct provenance_output *outputs =
		arena_alloc(&x->arena, (r->n_output_files + r->n_output_directories + 1) * sizeof *outputs);
	size_t n = 0;
	for (size_t i = 0; i < r->n_output_files; i++)
		if (reapi_digest_read(r->output_files[i]->digest, &d, NULL) == 0) {
			outputs[n].name = r->output_files[i]->path;
			memcpy(outputs[n++].sha256, d.hash.b, sizeof d.hash.b);
		}
	for (size_t i = 0; i < r->n_output_directories; i++)
		if (reapi_digest_read(r->output_directories[i]->tree_digest, &d, NULL) == 0) {
			outputs[n].name = arena_printf(&x->arena, "%s/", r->output_directories[i]->path);
			memcpy(outputs[n++].sha256, d.hash.b, sizeof d.hash.b);
		}
	x->tree.outputs = outputs;
	x->tree.n_outputs = n;
}

static void describe(struct audit_action *x)
{
	const Reapi__Command *c = x->command;
	char **environment = arena_alloc(&x->arena, (c->n_environment_variables + 1) * sizeof *environment);
	for (size_t i = 0; i < c->n_environment_variables; i++)
		environment[i] = arena_printf(&x->arena, "%s=%s", c->environment_variables[i]->name,
					      c->environment_variables[i]->value);
	add_directory(x, NULL, x->root.directories[0]);
	x->tree = (struct provenance_tree){.directory = c->working_directory,
					   .environment = environment,
					   .n_environment = c->n_environment_variables,
					   .arguments = c->arguments,
					   .n_arguments = c->n_arguments,
					   .n_files = x->n_entries,
					   .files = x->entries,
					   .file = file};
	describe_outputs(x);
}

struct audit_action *audit_action_load(struct results *results, const struct audit_row *row)
{
	struct audit_action *x = mem_alloc(sizeof *x);
	*x = (struct audit_action){.results = results, .tenant = row->value[AUDIT_tenant], .arena = ARENA_INIT};
	if (!load_all(x, row)) {
		audit_action_free(x);
		return NULL;
	}
	describe(x);
	return x;
}

void audit_action_free(struct audit_action *x)
{
	if (!x)
		return;
	if (x->action)
		reapi__action__free_unpacked(x->action, NULL);
	if (x->command)
		reapi__command__free_unpacked(x->command, NULL);
	if (x->result)
		reapi__action_result__free_unpacked(x->result, NULL);
	input_root_release(&x->root);
	free(x->entries);
	arena_release(&x->arena);
	free(x);
}

const struct provenance_tree *audit_action_tree(const struct audit_action *x)
{
	return &x->tree;
}
