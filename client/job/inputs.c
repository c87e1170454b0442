#include "client/job/inputs.h"
#include "client/job/search_snapshot.h"

#include "base/path.h"
#include "depscan/absent.h"
#include "depscan/depfile.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MS = 120000 };

// ---- the list -------------------------------------------------------------------------------------------------------

static struct input *append(struct inputs *in)
{
	if (in->n == in->cap) {
		in->cap = in->cap ? in->cap * 2 : 256;
		struct input *list = arena_alloc(&in->j->arena, in->cap * sizeof *list);
		if (in->n)
			memcpy(list, in->list, in->n * sizeof *list);
		in->list = list;
	}
	return &in->list[in->n];
}

// Adds a file once, with what it is now. A file that may have changed since the compile began spoils the result: the
// compiler may have read something else.
static const struct scan *add(struct inputs *in, const char *path, uint32_t flags)
{
	struct job *j = in->j;
	if (map_puts(&in->known, path, in))
		return NULL;
	struct input *i = append(in);
	struct err err = ERR_INIT;
	*i = (struct input){.path = path, .flags = flags};
	if (files_facts(j->d->files, j->cwd_fd, path, &j->arena, &i->facts, &err) < 0)
		in->reason = err.code == ERR_FORMAT  ? REASON_input_not_a_file
			     : err.code == ERR_LIMIT ? REASON_input_too_large
						     : REASON_input_changed;
	else if (i->facts.id.mtime_ns >= j->start_ns || i->facts.id.ctime_ns >= j->start_ns)
		in->reason = REASON_input_changed;
	else if (in->n >= MANIFEST_MAX_INPUTS)
		in->reason = REASON_too_many_inputs;
	if (in->reason != REASON_NONE) {
		j->culprit = path;
		return NULL;
	}
	in->n++;
	// In the arena of the facts, not in the list: the list moves as it grows.
	struct scan *scan = arena_alloc(&j->arena, sizeof *scan);
	*scan = i->facts.scan;
	return scan;
}

static const struct input *same_file(const struct inputs *in, const struct file_id *id)
{
	for (uint32_t i = 0; i < in->n; i++)
		if (file_id_equal(&in->list[i].facts.id, id))
			return &in->list[i];
	return NULL;
}

static bool any_imports(const struct inputs *in)
{
	for (uint32_t i = 0; i < in->n; i++)
		if (in->list[i].facts.scan.imports)
			return true;
	return false;
}

// One file under two names, that says `#pragma once`: when it becomes two files, the second counts, and no digest tells.
static bool is_once_by_two_names(const struct inputs *in, const char **culprit)
{
	bool found = false, imports = any_imports(in);
	struct map once = MAP_INIT; // device and inode -> tidy name
	for (uint32_t i = 0; i < in->n && !found; i++) {
		const struct input *input = &in->list[i];
		uint64_t key[2] = {input->facts.id.dev, input->facts.id.ino};
		if (!input->facts.scan.once && !imports)
			continue;
		const char *name = path_tidy(&in->j->arena, input->path);
		const char *other = map_put(&once, key, sizeof key, (void *)(uintptr_t)name);
		found = other && strcmp(other, name) != 0;
		*culprit = input->path;
	}
	map_release(&once);
	return found;
}

static bool parse_fd(struct job *j, int fd, struct depfile *d)
{
	struct buf text = BUF_INIT;
	bool ok = lseek(fd, 0, SEEK_SET) == 0 && file_read_fd(fd, DEPFILE_MAX, &text, NULL) == 0 &&
		  depfile_parse(d, &j->arena, text.data ? text.data : "", text.len, NULL) == 0;
	buf_release(&text);
	return ok;
}

// The user's depfile is taken apart only if we can put it together again, byte for byte.
static bool parse_users(struct job *j, struct depfile *d)
{
	AUTO_BUF struct buf text = BUF_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	if (file_read(j->cwd_fd, j->line.depfile, DEPFILE_MAX, &text, NULL, NULL) < 0 ||
	    depfile_parse(d, &j->arena, text.data, text.len, NULL) < 0)
		return false;
	struct depfile ours = {.targets = j->line.dep_targets,
			       .n_targets = j->line.n_dep_targets,
			       .deps = d->deps,
			       .n_deps = d->n_deps,
			       .phony = j->line.dep_phony,
			       .phony_spaced = d->phony_spaced,
			       .main_dep = d->main_dep};
	depfile_write(&ours, j->compiler->family, &again);
	return again.len == text.len && memcmp(again.data, text.data, text.len) == 0;
}

// gcc names a header twice that it found in two ways; the rebuilt depfile shall, too.
static void add_again(struct inputs *in, const char *path)
{
	for (uint32_t i = 0; i < in->n && in->reason == REASON_NONE; i++)
		if (strcmp(in->list[i].path, path) == 0) {
			*append(in) = in->list[i];
			in->n++;
			return;
		}
}

static void add_depfile(struct inputs *in, int dep_fd, struct manifest_entry *entry)
{
	struct depfile d = {0};
	bool users = in->j->inputs_from != INPUTS_OUR_DEPFILE;
	if (!(users ? parse_users(in->j, &d) : parse_fd(in->j, dep_fd, &d))) {
		in->reason = REASON_depfile_unparsed;
		return;
	}
	for (unsigned i = 0; i < d.n_deps && in->reason == REASON_NONE; i++)
		if (!add(in, d.deps[i], INPUT_IN_DEPFILE))
			add_again(in, d.deps[i]);
	entry->dep_main = d.main_dep;
	entry->dep_spaced = d.phony_spaced;
}

// ---- what the assembler read ----------------------------------------------------------------------------------------

// The driver's own assembler file ("/tmp/ccXYZabc.s") is gone by now.
static bool is_temp_source(const char *path)
{
	const char *base = path_base(path);
	return strcmp(path, "{standard input}") == 0 ||
	       (strlen(base) == 10 && strncmp(base, "cc", 2) == 0 && base[8] == '.');
}

static void add_assembler_inputs(struct inputs *in, int fd)
{
	struct job *j = in->j;
	struct depfile d = {0};
	if (!parse_fd(j, fd, &d)) {
		in->reason = REASON_depfile_unparsed;
		return;
	}
	in->loose = arena_alloc(&j->arena, (d.n_deps + 1) * sizeof *in->loose);
	for (unsigned i = 0; i < d.n_deps && in->reason == REASON_NONE; i++) {
		// It also lists names that it was only told (.file, line markers), mapped and shortened ones among them: these need
		// not exist, or mean an input.
		struct stat st;
		if (is_temp_source(d.deps[i]) || fstatat(j->cwd_fd, d.deps[i], &st, 0) < 0)
			continue;
		struct file_id id = file_id_of(&st);
		bool known = same_file(in, &id) != NULL;
		if (add(in, d.deps[i], INPUT_NO_CODE) && !known)
			in->loose[in->n_loose++] = d.deps[i];
	}
	// Its own search path (-Wa,-I) is not followed.
	for (unsigned i = 0; i < j->line.n_words && in->n_loose; i++)
		if (strstr(j->line.words[i].text, "-Wa,") || strcmp(j->line.words[i].text, "-Xassembler") == 0)
			in->reason = REASON_embed;
}

// ---- what is forced in ----------------------------------------------------------------------------------------------

static unsigned forced_includes(struct job *j, struct include **out)
{
	const struct cmdline *l = &j->line;
	*out = arena_alloc(&j->arena, (l->n_forced + 1) * sizeof **out);
	// glibc's hook, which gcc includes by itself.
	(*out)[0] = (struct include){.name = "stdc-predef.h", .form = INCLUDE_ANGLED};
	for (unsigned i = 0; i < l->n_forced; i++)
		(*out)[i + 1] = (struct include){.name = l->forced[i], .form = INCLUDE_QUOTED};
	return l->n_forced + 1;
}

// ---- everything that includes reach ---------------------------------------------------------------------------------

bool inputs_ask_compiler(const struct inputs *in, const char *const *more, struct child *c)
{
	struct job *j = in->j;
	const struct cmdline *l = &j->line;
	unsigned n = 0, n_more = 0;
	while (more[n_more])
		n_more++;
	const char **argv = arena_alloc(&j->arena, (l->n_words + n_more + 2) * sizeof *argv);
	argv[n++] = j->compiler->path;
	for (unsigned i = 0; i < l->n_words; i++) {
		const char *t = l->words[i].text;
		if (l->words[i].role != WORD_NOT_KEY && i != l->source_word && strcmp(t, "-c") != 0 &&
		    strcmp(t, "-S") != 0 && strcmp(t, "--") != 0 && strncmp(t, "-M", 2) != 0)
			argv[n++] = t;
	}
	memcpy(argv + n, more, n_more * sizeof *more);
	*c = (struct child){
		.argv = argv, .envp = j->env, .cwd_fd = j->cwd_fd, .time_limit_ms = LIST_MS, .max_output = DEPFILE_MAX};
	return child_run(c, NULL) == 0 && c->status == 0 && c->out.data;
}

// The full list by the compiler's own `-M`: where -MMD left out system headers and includes have computed names.
static void add_by_compiler(struct inputs *in)
{
	struct job *j = in->j;
	const char *const more[] = {"-M", j->line.source, NULL};
	struct child c;
	struct depfile d = {0};
	bool ok = inputs_ask_compiler(in, more, &c) && depfile_parse(&d, &j->arena, c.out.data, c.out.len, NULL) == 0;
	child_release(&c);
	if (!ok)
		in->reason = REASON_depfile_unparsed;
	for (unsigned i = 0; i < d.n_deps && in->reason == REASON_NONE; i++)
		add(in, d.deps[i], 0);
}

static bool read_reached(void *ctx, const char *path, struct absent_input *out)
{
	struct inputs *in = ctx;
	const struct scan *scan = in->reason == REASON_NONE ? add(in, path, 0) : NULL;
	if (scan)
		*out = (struct absent_input){path, in->list[in->n - 1].facts.digest, scan};
	return scan != NULL;
}

// A header that lies where an include could find it, and that the compiler did not name. It may have come during the
// compile; it may be a second name of an input; and of two files with one text, or one file with two names, the compiler
// may have left out the second (#pragma once, #import), which no depfile tells.
static bool is_rightly_unread(void *ctx, const char *path, const struct stat *st)
{
	struct inputs *in = ctx;
	struct job *j = in->j;
	struct file_id id = file_id_of(st);
	struct digest digest;
	if (id.ctime_ns >= j->start_ns)
		return false;
	const struct input *same = same_file(in, &id);
	if (same) {
		if (same->facts.scan.once || any_imports(in))
			return false;
		add(in, path, 0);
		return true;
	}
	bool same_size = false;
	for (uint32_t i = 0; i < in->n && !same_size; i++)
		same_size = in->list[i].facts.id.size == id.size;
	if (id.size == 0 || !same_size || files_digest(j->d->files, j->cwd_fd, path, &digest, NULL, NULL) < 0)
		return true;
	for (uint32_t i = 0; i < in->n; i++)
		if (digest_equal(&in->list[i].facts.digest, &digest))
			return false;
	return true;
}

static struct absent_input *for_absent(const struct inputs *in)
{
	struct absent_input *list = arena_alloc(&in->j->arena, (in->n + 1) * sizeof *list);
	for (uint32_t i = 0; i < in->n; i++) {
		struct scan *scan = arena_alloc(&in->j->arena, sizeof *scan);
		*scan = in->list[i].facts.scan;
		list[i] = (struct absent_input){.path = in->list[i].path, .scan = scan};
		if (!in->list[i].probes_added)
			list[i].digest = in->list[i].facts.digest;
	}
	return list;
}

static void fill_links(struct job *j, const struct search *search, struct manifest_entry *e)
{
	e->links = arena_alloc(&j->arena, (search->n_links + 1) * sizeof *e->links);
	e->n_links = search->n_links;
	for (unsigned i = 0; i < search->n_links; i++)
		e->links[i] = (struct manifest_link){job_canonical_path(j, search->links[i].dir),
						     job_canonical_path(j, search->links[i].real)};
}

static void follow_includes(struct inputs *in, struct absent_answer *answer, struct manifest_entry *entry)
{
	struct job *j = in->j;
	struct include *forced;
	if (!j->ways) {
		in->reason = REASON_compiler_probe;
		return;
	}
	const struct search *search = ways_search(j->ways);
	fill_links(j, search, entry);
	struct absent_query q = {.cwd_fd = j->cwd_fd, .search = search};
	q.gch = j->compiler->family == FAMILY_GCC || j->line.n_forced;
	q.pch = j->compiler->family == FAMILY_CLANG && j->line.n_forced;
	q.loose = in->loose;
	q.n_loose = in->n_loose;
	q.n_forced = forced_includes(j, &forced);
	q.forced = forced;
	q.inputs = for_absent(in);
	q.n_inputs = in->n;
	if (j->inputs_from == INPUTS_USER_MMD)
		q.read = read_reached;
	q.unread = is_rightly_unread;
	q.ctx = in;
	absent_find(&q, &j->arena, answer);
	q.macros = in->reason == REASON_NONE && macros_in_includes(in);
	if (in->reason == REASON_NONE && (q.macros || (q.read && answer->computed))) {
		if (q.read)
			add_by_compiler(in);
		q.read = NULL;
		q.inputs = for_absent(in);
		q.n_inputs = in->n;
		absent_find(&q, &j->arena, answer);
	}
	if (answer->doubtful && in->reason == REASON_NONE) {
		const char *suffix = path_ext(answer->doubtful);
		bool precompiled = strcmp(suffix, ".gch") == 0 || strcmp(suffix, ".pch") == 0;
		in->reason = precompiled ? REASON_precompiled_header : REASON_input_changed;
		j->culprit = answer->doubtful;
	}
	for (uint32_t i = 0; i < answer->n_further && in->reason == REASON_NONE; i++)
		add(in, answer->further[i], INPUT_NO_CODE);
	if (in->reason == REASON_NONE && macros_in_probes(in)) {
		// Nothing is to be read again: the list is complete.
		q.read = NULL;
		q.inputs = for_absent(in);
		q.n_inputs = in->n;
		absent_find(&q, &j->arena, answer);
	}
	const char *culprit;
	if (in->reason == REASON_NONE && is_once_by_two_names(in, &culprit)) {
		in->reason = REASON_pragma;
		j->culprit = culprit;
	}
}

// ---- what the texts use ---------------------------------------------------------------------------------------------

// Where the assembler does not list what it reads: could pieces of this text make an .incbin that the scanner has not seen?
// Texts of the system are taken as they are.
static bool may_hide_incbin(const struct job *j, const struct input *i, bool assembler)
{
	static const char *const in_c[] = {".inc", "cbin", "\".i\"", "\".in\"", "\".\""};
	static const char *const in_assembler[] = {".macro", ".irp", ".rept", ".altmacro"};
	if ((!assembler && !i->facts.scan.has_asm) || strncmp(i->path, "/usr/", 5) == 0)
		return false;
	AUTO_BUF struct buf text = {.max = FILES_MAX_SIZE + 2};
	if (file_read(j->cwd_fd, i->path, FILES_MAX_SIZE, &text, NULL, NULL) < 0)
		return true;
	const char *const *pieces = assembler ? in_assembler : in_c;
	size_t n = assembler ? COUNT_OF(in_assembler) : COUNT_OF(in_c);
	for (size_t k = 0; k < n; k++)
		if (memmem(text.data, text.len, pieces[k], strlen(pieces[k])))
			return true;
	return false;
}

static enum reason check_text(const struct job *j, const struct input *i, bool assembler_listed)
{
	const struct scan *s = &i->facts.scan;
	bool assembler = j->line.lang == LANG_ASM || j->line.lang == LANG_ASM_CPP;
	if (s->pragma_dependency || s->odd_pragma)
		return REASON_pragma;
	if (s->unknown_probe)
		return REASON_unknown_probe;
	// With -std=c++20 clang takes `import` without another word.
	if (s->modules && j->compiler->family == FAMILY_CLANG && j->line.lang == LANG_CXX &&
	    strncmp(i->path, "/usr/", 5) != 0)
		return REASON_modules;
	if (s->embed || (!assembler_listed &&
			 (s->incbin || s->asm_include || (assembler && s->asm_parts) || may_hide_incbin(j, i, assembler))))
		return REASON_embed;
	return REASON_NONE;
}

// A word, or for -DNAME=TEXT the text alone: "-D__DATE__=" takes the macro away.
static const char *definition(const struct cmdline *l, unsigned i)
{
	const char *t = l->words[i].text;
	bool is_define = strncmp(t, "-D", 2) == 0 || (i && strcmp(l->words[i - 1].text, "-D") == 0);
	const char *equals = is_define ? strchr(t, '=') : NULL;
	return equals ? equals + 1 : is_define ? "" : t;
}

static void check_texts(struct inputs *in, bool assembler_listed, struct manifest_entry *entry)
{
	struct job *j = in->j;
	bool dated = false, stamped = false;
	for (uint32_t i = 0; i < in->n && in->reason == REASON_NONE; i++) {
		const struct scan *s = &in->list[i].facts.scan;
		if (s->date || s->time || s->timestamp)
			j->culprit = in->list[i].path;
		dated |= s->date || s->time;
		stamped |= s->timestamp;
		in->reason = check_text(j, &in->list[i], assembler_listed);
		if (in->reason != REASON_NONE)
			j->culprit = in->list[i].path;
	}
	for (unsigned i = 0; i < j->line.n_words; i++) {
		const char *t = definition(&j->line, i);
		dated |= strstr(t, "__DATE__") || strstr(t, "__TIME__") || strstr(t, "##");
		stamped |= strstr(t, "__TIMESTAMP__") != NULL;
		if (!assembler_listed && strstr(t, "incbin"))
			in->reason = REASON_embed;
	}
	if (stamped || (dated && digest_is_zero(&j->time_context)))
		in->reason = REASON_time_macros;
	else if (dated)
		entry->time_context = j->time_context;
}

// ---- the entry ------------------------------------------------------------------------------------------------------

void job_keep_text(struct job *j, const char *path, const struct digest *digest)
{
	enum { MOST = 4 << 20 };
	struct stat st;
	if (j->keeping != KEEPING || !config_bool(j->config, SETTING_keep_texts) || !files_first_time(j->d->files, digest) ||
	    store_has(j->d->store, STORE_TEXT, digest))
		return;
	AUTO_BUF struct buf text = BUF_INIT;
	if (file_read(j->cwd_fd, path, MOST, &text, &st, NULL) < 0)
		return;
	struct digest now = digest_of(text.data, text.len);
	struct store_part part = {text.data, text.len};
	if (digest_equal(&now, digest))
		store_put(j->d->store, STORE_TEXT, &now, &part, 1, NULL);
}

static void fill_inputs(const struct inputs *in, struct manifest_entry *e)
{
	struct job *j = in->j;
	e->inputs = arena_alloc(&j->arena, in->n * sizeof *e->inputs);
	e->n_inputs = in->n;
	for (uint32_t i = 0; i < in->n; i++) {
		const struct input *from = &in->list[i];
		e->inputs[i] = (struct manifest_input){.name = job_canonical_path(j, from->path),
						       .digest = from->facts.digest,
						       .code = from->facts.scan.code,
						       .flags = from->flags};
		job_keep_text(j, from->path, &from->facts.digest);
	}
}

static void fill_names(struct job *j, const struct absent_answer *answer, struct manifest_entry *e)
{
	e->absent = arena_alloc(&j->arena, answer->n_groups * sizeof *e->absent);
	e->n_absent = answer->n_groups;
	for (uint32_t i = 0; i < answer->n_groups; i++) {
		e->absent[i] = answer->groups[i];
		e->absent[i].dir = job_canonical_path(j, answer->groups[i].dir);
	}
	e->present = arena_alloc(&j->arena, answer->n_present * sizeof *e->present);
	e->n_present = answer->n_present;
	for (uint32_t i = 0; i < answer->n_present; i++)
		e->present[i] = job_canonical_path(j, answer->present[i]);
}

enum reason job_find_inputs(struct job *j, int dep_fd, int asm_dep_fd, struct manifest_entry *entry)
{
	struct inputs in = {.j = j};
	struct absent_answer answer = {0};
	if (j->inputs_from == INPUTS_SOURCE_ONLY)
		add(&in, j->line.source, 0);
	else
		add_depfile(&in, dep_fd, entry);
	if (in.reason == REASON_NONE && asm_dep_fd >= 0)
		add_assembler_inputs(&in, asm_dep_fd);
	if (in.reason == REASON_NONE && (j->inputs_from != INPUTS_SOURCE_ONLY || in.n_loose))
		follow_includes(&in, &answer, entry);
	for (unsigned i = 0; i < j->line.n_extra_inputs && in.reason == REASON_NONE; i++)
		add(&in, j->line.extra_inputs[i], INPUT_NO_CODE);
	if (in.reason == REASON_NONE)
		check_texts(&in, asm_dep_fd >= 0, entry);
	for (uint32_t i = 0; i < in.n && in.reason == REASON_NONE && j->ways; i++)
		if (ways_moved(j->ways, in.list[i].path)) {
			in.reason = REASON_input_changed;
			j->culprit = in.list[i].path;
		}
	if (in.reason == REASON_NONE) {
		fill_inputs(&in, entry);
		fill_names(j, &answer, entry);
	}
	map_release(&in.known);
	buf_release(&in.builtin);
	return in.reason;
}
