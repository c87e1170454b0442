// What keeps builds from the farm: settings that can't work, certificates, tokens, and whether scheduler and workers answer.
#include "client/verbs/doctor.h"

#include "auth/keys.h"
#include "base/file.h"
#include "base/value.h"
#include "remote/net/tls.h"
#include "remote/rpc.h"

#include "proto/coffer.pb-c.h"

#include <fcntl.h>
#include <string.h>

enum { CONNECT_MS = 3000, ANSWER_MS = 5000, MAX_TOKEN = 8192 };

static const char *text_of(const struct doctor *d, enum setting s)
{
	return setting_text(&d->config, s);
}

static const char *text_or_null(const struct doctor *d, enum setting s)
{
	return *text_of(d, s) ? text_of(d, s) : NULL;
}

// False: it can't work, whatever answers.
static bool check_what_is_set(struct doctor *d)
{
	const char *certificate = text_of(d, SETTING_certificate), *key = text_of(d, SETTING_certificate_key);
	size_t before = d->n_by_level[FINDING_PROBLEM];
	if (*text_of(d, SETTING_worker))
		found_warning(d, "farm", "unset one of them", "both 'scheduler' and 'worker' are set: 'worker' is not used");
	if (!*certificate && !*text_of(d, SETTING_token_file))
		found_problem(d, "farm", "set 'certificate' and 'certificate_key', or 'token_file'",
			      "a scheduler is set, and nothing that says to it who we are");
	if (!*certificate != !*key)
		found_problem(d, "farm", "set both or none", "of 'certificate' and 'certificate_key' only one is set");
	return d->n_by_level[FINDING_PROBLEM] == before;
}

// Files: readable, of one pair, good at this time.
static struct rpc_tls *check_certificates(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct rpc_tls *tls = NULL;
	const char *own = text_or_null(d, SETTING_certificate), *ca = text_or_null(d, SETTING_scheduler_ca);
	struct rpc_tls_config config = {.certificate = own, .key = text_or_null(d, SETTING_certificate_key), .ca = ca};
	if (rpc_tls_client(&config, &tls, &err) < 0) {
		found_problem(d, "farm", "correct the setting or the file", "%s", err.text);
		return NULL;
	}
	if ((own && keys_check_time(own, &err) < 0) || (ca && keys_check_time(ca, &err) < 0))
		found_problem(d, "farm", "'coffer keys add' makes new certificates; see docs/operator.md", "%s", err.text);
	return tls;
}

static char *authorization(struct doctor *d)
{
	AUTO_BUF struct buf text = {.max = MAX_TOKEN + 1};
	struct err err = ERR_INIT;
	const char *path = text_of(d, SETTING_token_file);
	if (!*path)
		return NULL;
	if (file_read(AT_FDCWD, path, MAX_TOKEN, &text, NULL, &err) < 0 || !text.len) {
		found_problem(d, "farm", "ask for a new token", "the token file '%s' can't be used: %s", path,
			      err.code ? err.text : "it is empty");
		return NULL;
	}
	text.data[strcspn(text.data, " \r\n")] = '\0';
	return arena_printf(&d->arena, "Bearer %s", text.data);
}

static void check_worker(struct doctor *d, struct loop *loop, struct rpc_tls *tls, const Coffer__V1__Route *r)
{
	struct err err = ERR_INIT;
	struct rpc_channel *channel = NULL;
	struct rpc_channel_config config = {.tls = tls};
	if (r->certificate_sha256.len == 32)
		config.pin_sha256 = r->certificate_sha256.data;
	else if (value_is_of_this_machine(r->address))
		config.tls = NULL;
	if (rpc_connect(loop, r->address, &config, CONNECT_MS, &channel, &err) < 0)
		found_warning(d, "farm", "see that this machine may connect to it, and that it runs",
			      "worker '%.64s' (%.200s): %s", r->worker, r->address, err.text);
	else
		found_ok(d, "farm", "worker '%.64s' (%.200s) answers", r->worker, r->address);
	rpc_channel_release(channel);
}

static void ask_for_routes(struct doctor *d, struct loop *loop, struct rpc_channel *channel, struct rpc_tls *pinned)
{
	struct err err = ERR_INIT;
	enum rpc_code code;
	static char any[] = "host:any";
	Coffer__V1__RouteRequest q = COFFER__V1__ROUTE_REQUEST__INIT;
	Coffer__V1__RouteReply *reply = NULL;
	struct rpc_call_options options = {.deadline_ms = ANSWER_MS, .authorization = authorization(d)};
	q.tenant = (char *)(uintptr_t)text_of(d, SETTING_tenant);
	q.image = *text_of(d, SETTING_image) ? (char *)(uintptr_t)text_of(d, SETTING_image) : any;
	q.slots = 1;
	if (rpc_unary(channel, "/coffer.v1.Scheduler/Route", &options, &q.base, &coffer__v1__route_reply__descriptor, &reply,
		      &code, &err) < 0) {
		found_problem(d, "farm", "docs/operator.md says what this means", "the scheduler refuses us: %s", err.text);
		return;
	}
	if (!reply->n_routes)
		found_warning(d, "farm", "docs/operator.md says what this means",
			      "the scheduler has no worker for us: %.200s", reply->reason);
	for (size_t i = 0; i < reply->n_routes; i++)
		check_worker(d, loop, pinned, reply->routes[i]);
	coffer__v1__route_reply__free_unpacked(reply, NULL);
}

static void ask_scheduler(struct doctor *d, const char *address, struct loop *loop, struct rpc_tls *tls,
			  struct rpc_tls *pinned)
{
	struct err err = ERR_INIT;
	struct rpc_channel *channel = NULL;
	if (rpc_connect(loop, address, &(struct rpc_channel_config){.tls = tls}, CONNECT_MS, &channel, &err) < 0) {
		found_problem(d, "farm", "see that it runs and that this machine may connect to it",
			      "the scheduler '%s': %s", address, err.text);
		return;
	}
	found_ok(d, "farm", "the scheduler '%s' answers", address);
	ask_for_routes(d, loop, channel, pinned);
	rpc_channel_release(channel);
}

void doctor_check_farm(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct loop *loop = NULL;
	struct rpc_tls *tls = NULL, *pinned = NULL;
	if (!d->has_config || !*text_of(d, SETTING_scheduler))
		return;
	AUTO_FREE char *all = mem_strdup(text_of(d, SETTING_scheduler));
	char *save = NULL;
	if (check_what_is_set(d) && (tls = check_certificates(d))) {
		if (rpc_tls_client(NULL, &pinned, &err) == 0 && loop_start(&loop, &err) == 0)
			for (char *w = strtok_r(all, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save))
				ask_scheduler(d, w, loop, tls, pinned);
		else
			found_problem(d, "farm", "see docs/operator.md", "%s", err.text);
	}
	if (loop)
		loop_stop(loop);
	rpc_tls_free(pinned);
	rpc_tls_free(tls);
}
