#include "auth/token.h"
#include "base/file.h"
#include "base/value.h"
#include "client/farm/difference.h"
#include "client/services/farms.h"
#include "client/verbs/doctor_farm.h"
#include "compiler/compiler.h"
#include "depscan/files.h"
#include "depscan/view.h"
#include "loop/loop.h"
#include "remote/net/tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 3000, ANSWER_MS = 5000, COMPILERS_MAX = 4 };

// ---- this machine's compilers --------------------------------------------------------------------------------------------

struct own_compiler {
	struct farm_compiler facts;
	struct view *view;
};

struct own_compilers {
	struct arena arena;
	struct files *files;
	struct views *views;
	struct compilers *compilers;
	struct own_compiler all[COMPILERS_MAX];
	size_t n;
};

// As a plain compile of this user reads it.
static struct view *observe(struct own_compilers *own, const struct compiler *c, const char *language)
{
	const char *argv[] = {c->path, "-x", language, "-c", "u.c", "-o", "u.o", NULL};
	struct cmdline *line = arena_alloc(&own->arena, sizeof *line);
	struct view *view = NULL;
	cmdline_parse(line, &own->arena, c->family, c->is_cxx, AT_FDCWD, argv);
	struct view_query q = {.compiler = c,
			       .argv0 = c->path,
			       .line = line,
			       .cwd = "/",
			       .cwd_fd = AT_FDCWD,
			       .env = (const char *const *)environ};
	if (line->reason != REASON_NONE || views_find(own->views, &q, &view, NULL) < 0)
		return NULL;
	return view;
}

static void name_files(struct own_compilers *own, struct own_compiler *o)
{
	size_t n = 0;
	const struct view_text *texts = o->view ? view_texts(o->view, &own->arena, &n) : NULL;
	struct farm_file *files = arena_alloc(&own->arena, (n + 1) * sizeof *files);
	for (size_t i = 0; i < n; i++) {
		files[i].path = texts[i].path;
		memcpy(files[i].digest, texts[i].digest.b, sizeof files[i].digest);
	}
	o->facts.files = files;
	o->facts.n_files = n;
}

static void add_compiler(struct own_compilers *own, const char *path, const char *name, const char *language)
{
	enum reason reason = REASON_NONE;
	const char *const *env = (const char *const *)environ;
	const struct compiler_call call = {.path = path, .argv0 = name, .env = env};
	const struct compiler *c = compilers_find(own->compilers, &call, &reason, NULL);
	struct own_compiler *o = &own->all[own->n];
	if (!c || farms_ask_compiler(c, language, env, &o->facts) < 0)
		return;
	o->view = observe(own, c, language);
	name_files(own, o);
	own->n++;
}

static struct own_compilers *find_compilers(struct doctor *d)
{
	static const char *const names[COMPILERS_MAX][2] = {
		{"gcc", "c"}, {"g++", "c++"}, {"clang", "c"}, {"clang++", "c++"}};
	struct own_compilers *own = mem_alloc(sizeof *own);
	own->files = files_new();
	own->views = views_new(own->files, NULL, NULL, "/tmp");
	struct part_keeper keeper = views_part_keeper(own->views);
	own->compilers = compilers_new(files_digester(own->files), &keeper);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const char *path = doctor_real_compiler(d, names[i][0]);
		if (path)
			add_compiler(own, path, names[i][0], names[i][1]);
	}
	return own;
}

void doctor_peers_release(struct doctor_peers *p)
{
	struct own_compilers *own = p->own;
	if (p->loop)
		loop_stop(p->loop);
	rpc_tls_free(p->pinned);
	if (!own)
		return;
	for (size_t i = 0; i < own->n; i++)
		view_unref(own->all[i].view);
	compilers_free(own->compilers);
	views_free(own->views);
	files_free(own->files);
	arena_release(&own->arena);
	free(own);
}

// ---- a worker ------------------------------------------------------------------------------------------------------------

struct asked {
	struct doctor_peers *peers;
	struct rpc_channel *channel;
	const char *authorization;
	const char *image;
	const char *name; // "worker 'w1' (host:port)"
};

static const char *say_difference(struct arena *a, const struct farm_compiler *ours, const Coffer__V1__DescribeReply *theirs,
				  const char *differs)
{
	if (differs[0] != '/')
		return arena_printf(a, "its %s is another one (here %s, %s; there %s, %s)", differs, ours->version,
				    ours->target, theirs->version, theirs->target);
	if (!farm_worker_reads(theirs, differs))
		return arena_printf(a, "here it reads '%s', and there it does not", differs);
	if (!farm_reads(ours, differs))
		return arena_printf(a, "there it reads '%s', and here it does not", differs);
	return arena_printf(a, "its '%s' is another one", differs);
}

static void tell_difference(struct asked *x, const struct farm_compiler *ours, const Coffer__V1__DescribeReply *theirs,
			    const char *differs)
{
	struct doctor *d = x->peers->doctor;
	if (strncmp(differs, "view", 4) == 0)
		found_warning(d, "farm", "allow ptrace and seccomp to it: docs/never-wrong.md",
			      "%s is not used for '%s': what the compiler reads can't be observed %s", x->name, ours->name,
			      ours->n_files ? "there" : "here");
	else
		found_warning(
			d, "farm",
			"install the same packages on both, or give both one image (setting 'image'); until then these "
			"compiles stay here",
			"%s is not used for '%s': %s", x->name, ours->name,
			say_difference(&d->arena, ours, theirs, differs));
}

// True if it has the same one.
static bool compare(struct asked *x, const struct farm_compiler *ours, int isolation)
{
	struct doctor *d = x->peers->doctor;
	struct err err = ERR_INIT;
	enum rpc_code code = RPC_OK;
	Coffer__V1__DescribeRequest q = COFFER__V1__DESCRIBE_REQUEST__INIT;
	Coffer__V1__DescribeReply *reply = NULL;
	struct rpc_call_options options = {.deadline_ms = ANSWER_MS, .authorization = x->authorization};
	q.image = (char *)(uintptr_t)x->image;
	q.compiler = (char *)(uintptr_t)ours->name;
	q.language = (char *)(uintptr_t)ours->language;
	if (rpc_unary(x->channel, "/coffer.v1.Worker/Describe", &options, &q.base, &coffer__v1__describe_reply__descriptor,
		      &reply, &code, &err) < 0) {
		bool is_not_there = code == RPC_NOT_FOUND || code == RPC_FAILED_PRECONDITION || code == RPC_INVALID_ARGUMENT;
		if (is_not_there)
			found_warning(d, "farm", "install it there, too; until then its compiles stay here",
				      "%s has no '%s' for us: %s", x->name, ours->name, err.text);
		else
			found_problem(d, "farm", "look into the worker's log", "%s does not describe its '%s': %s", x->name,
				      ours->name, err.text);
		return false;
	}
	const char *differs = farm_difference(isolation, ours, reply);
	if (differs)
		tell_difference(x, ours, reply, differs);
	coffer__v1__describe_reply__free_unpacked(reply, NULL);
	return !differs;
}

static void compare_all(struct asked *x)
{
	struct doctor *d = x->peers->doctor;
	AUTO_BUF struct buf same = BUF_INIT;
	if (!x->peers->own)
		x->peers->own = find_compilers(d);
	int isolation = isolation_of_name(setting_text(&d->config, SETTING_isolation));
	for (size_t i = 0; i < x->peers->own->n; i++) {
		const struct farm_compiler *ours = &x->peers->own->all[i].facts;
		if (compare(x, ours, isolation))
			buf_addf(&same, "%s%s", same.len ? ", " : "", ours->name);
	}
	if (same.len)
		found_ok(d, "farm", "%s compiles as this machine does: %s", x->name, same.data);
}

// Whether it takes our token, and its clock.
static bool ask_status(struct asked *x)
{
	struct doctor *d = x->peers->doctor;
	struct err err = ERR_INIT;
	Coffer__V1__StatusRequest q = COFFER__V1__STATUS_REQUEST__INIT;
	Coffer__V1__StatusReply *reply = NULL;
	struct rpc_call_options options = {.deadline_ms = ANSWER_MS, .authorization = x->authorization};
	int64_t before = clock_now_ms();
	if (rpc_unary(x->channel, "/coffer.v1.Worker/Status", &options, &q.base, &coffer__v1__status_reply__descriptor,
		      &reply, NULL, &err) < 0) {
		found_problem(d, "farm", doctor_fix_of(err.text), "%s refuses us: %s", x->name, err.text);
		return false;
	}
	doctor_check_peer_clock(d, x->name, reply->time_ms, before, clock_now_ms());
	if (strcmp(reply->version, COFFER_VERSION) != 0)
		found_warning(d, "farm", "install the same version on both", "%s runs coffer %.30s, and this is %s", x->name,
			      reply->version, COFFER_VERSION);
	coffer__v1__status_reply__free_unpacked(reply, NULL);
	return true;
}

void doctor_check_worker_of_farm(struct doctor_peers *p, const Coffer__V1__Route *route)
{
	struct doctor *d = p->doctor;
	struct err err = ERR_INIT;
	struct rpc_channel_config config = {.tls = p->pinned};
	const char *image = setting_text(&d->config, SETTING_image);
	struct asked x = {.peers = p,
			  .image = *image ? image : "host:any",
			  .authorization = *route->token ? arena_printf(&d->arena, "Bearer %s", route->token) : NULL,
			  .name = arena_printf(&d->arena, "worker '%.64s' (%.200s)", route->worker, route->address)};
	if (route->certificate_sha256.len == 32)
		config.pin_sha256 = route->certificate_sha256.data;
	else if (value_is_of_this_machine(route->address))
		config.tls = NULL;
	if (config.tls && !config.pin_sha256) {
		found_problem(d, "farm", "set 'certificate' and 'key' in its worker.conf",
			      "%s has no certificate, and nothing is sent over a network as plain text", x.name);
		return;
	}
	if (*route->namesake)
		found_warning(d, "farm", "give each worker a name of its own: 'name' in worker.conf",
			      "%s: another worker registers under its name, at %.200s", x.name, route->namesake);
	if (rpc_connect(p->loop, route->address, &config, CONNECT_MS, &x.channel, &err) < 0) {
		found_warning(d, "farm", doctor_fix_of(err.text), "%s: %s", x.name, err.text);
		return;
	}
	found_ok(d, "farm", "%s answers", x.name);
	if (ask_status(&x))
		compare_all(&x);
	rpc_channel_release(x.channel);
}
