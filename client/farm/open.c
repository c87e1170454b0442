// A farm as the settings name it: a scheduler, workers of this machine, or a cluster.
#include "client/farm/cluster.h"
#include "client/farm/parts.h"

#include "auth/token.h"
#include "base/cond.h"
#include "base/value.h"
#include "loop/loop.h"
#include "remote/net/tls.h"

#include <stdlib.h>
#include <string.h>

enum {
	// While a call is open and the other side says nothing: a machine that is gone, or stands still, is found
	// out in 30 s.
	KEEPALIVE_MS = 10000,
	SEND_BYTES = 4 << 20, // of a text that wait to be sent: whoever waits for an answer can look after other things
};

static const char *text_or_null(const struct settings *c, enum setting s)
{
	const char *t = setting_text(c, s);
	return t && *t ? t : NULL;
}

static void route_free(struct route *r)
{
	rpc_target_free(r->target);
	map_release_all(&r->compilers);
	free(r->worker);
	free(r->address);
	if (r->token)
		explicit_bzero(r->token, strlen(r->token));
	free(r->token);
	free(r->namesake);
	buf_release(&r->listing);
	free(r);
}

void farm_free(struct farm *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_routes; i++)
		route_free(f->routes[i]);
	free(f->routes);
	for (size_t i = 0; i < f->n_retired; i++)
		rpc_target_free(f->retired[i]);
	free(f->retired);
	if (f->scheduler)
		rpc_target_free(f->scheduler);
	cluster_close(f->cluster);
	if (f->loop)
		loop_stop(f->loop);
	if (f->scheduler_tls)
		rpc_tls_free(f->scheduler_tls);
	if (f->worker_tls)
		rpc_tls_free(f->worker_tls);
	free(f->scheduler_address);
	free(f->tenant);
	free(f->image);
	free(f->token_file);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->asked);
	pthread_cond_destroy(&f->freed);
	free(f);
}

void farm_set_target(struct farm *f, struct route *r, const uint8_t *pin)
{
	if (pin)
		memcpy(r->pin, pin, sizeof r->pin);
	struct rpc_channel_config config = {.tls = pin ? f->worker_tls : NULL,
					    .pin_sha256 = pin ? r->pin : NULL,
					    .keepalive_ms = KEEPALIVE_MS,
					    .limits = {.send_bytes = SEND_BYTES}};
	if (r->target) { // a thread may be connecting with it
		f->retired = mem_realloc(f->retired, (f->n_retired + 1) * sizeof *f->retired);
		f->retired[f->n_retired++] = r->target;
	}
	r->target = rpc_target_new(f->loop, r->address, &config);
}

struct route *farm_add_route(struct farm *f, const char *worker, const char *address, const uint8_t *pin)
{
	struct route *r = mem_alloc(sizeof *r);
	r->worker = mem_strdup(worker);
	r->address = mem_strdup(address);
	farm_set_target(f, r, pin);
	f->routes = mem_realloc(f->routes, (f->n_routes + 1) * sizeof *f->routes);
	f->routes[f->n_routes++] = r;
	return r;
}

static int use_scheduler(struct farm *f, const struct settings *c, struct err *err)
{
	struct rpc_tls_config tls = {.certificate = text_or_null(c, SETTING_certificate),
				     .key = text_or_null(c, SETTING_certificate_key),
				     .ca = text_or_null(c, SETTING_scheduler_ca)};
	struct rpc_tls_config pinned = {0};
	if (rpc_tls_client(&tls, &f->scheduler_tls, err) < 0 || rpc_tls_client(&pinned, &f->worker_tls, err) < 0)
		return -1;
	struct rpc_channel_config config = {.tls = f->scheduler_tls};
	f->scheduler = rpc_target_new(f->loop, setting_text(c, SETTING_scheduler), &config);
	return 0;
}

// Without a scheduler there are no tokens and no certificates: only for workers of this machine.
static int use_workers(struct farm *f, const char *words, struct err *err)
{
	AUTO_FREE char *copy = mem_strdup(words);
	char *save = NULL;
	for (char *w = strtok_r(copy, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save)) {
		if (!value_is_of_this_machine(w))
			return err_set(
				err, ERR_USAGE,
				"worker '%s' is another machine: those are reached through a scheduler (setting scheduler)",
				w);
		struct route *r = farm_add_route(f, w, w, NULL);
		r->slots = f->most_jobs;
		r->is_current = true;
	}
	return 0;
}

static int use_cluster(struct farm *f, const struct settings *c, struct err *err)
{
	if (cluster_open(c, &f->cluster, err) < 0)
		return -1;
	const char *name = cluster_name(f->cluster);
	struct route *r = farm_add_route(f, name, name, NULL);
	r->slots = f->most_jobs;
	r->is_current = r->is_cluster = true;
	return 0;
}

int farm_open(const struct settings *c, struct farm **farm, struct err *err)
{
	const char *scheduler = text_or_null(c, SETTING_scheduler), *workers = text_or_null(c, SETTING_worker),
		   *cluster = text_or_null(c, SETTING_cluster);
	*farm = NULL;
	if (!scheduler && !workers && !cluster)
		return 0;
	if (cluster && (scheduler || workers))
		return err_set(err, ERR_USAGE, "the settings name a cluster and a farm of coffer's own: unset one of them");
	struct farm *f = mem_alloc(sizeof *f);
	pthread_mutex_init(&f->lock, NULL);
	cond_init(&f->asked);
	cond_init(&f->freed);
	f->scheduler_address = scheduler ? mem_strdup(scheduler) : NULL;
	f->tenant = mem_strdup(setting_text(c, SETTING_tenant));
	f->image = mem_strdup(setting_text(c, SETTING_image));
	f->token_file = text_or_null(c, SETTING_token_file) ? mem_strdup(setting_text(c, SETTING_token_file)) : NULL;
	f->isolation = isolation_of_name(setting_text(c, SETTING_isolation));
	f->most_jobs = (uint32_t)setting_number(c, SETTING_remote_jobs);
	f->timeout_ms = setting_number(c, SETTING_remote_timeout);
	int done = 0;
	if (f->isolation < 0)
		done = err_set(err, ERR_USAGE, "isolation '%s': use none, process, sandbox or microvm",
			       setting_text(c, SETTING_isolation));
	if (done == 0)
		done = loop_start(&f->loop, err);
	if (done == 0)
		done = cluster     ? use_cluster(f, c, err)
		       : scheduler ? use_scheduler(f, c, err)
				   : use_workers(f, workers, err);
	if (done < 0) {
		farm_free(f);
		return -1;
	}
	*farm = f;
	return 0;
}
