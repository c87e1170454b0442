#include "gateway/gateway.h"

#include "auth/keys.h"
#include "base/file.h"
#include "base/log.h"
#include "base/value.h"
#include "gateway/execution.h"
#include "gateway/service.h"
#include "gateway/shared_actions.h"
#include "gateway/status.h"
#include "gateway/uploads.h"
#include "remote/net/tls.h"
#include "service/program.h"
#include "settings/flags.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	TIDY_S = 5,
	BLOBS_IN_MEMORY = 4, // one that grows, twice, as a tenant has half
	END_MS = 10000,
	STRANGER_CALLS = 1024,
	STREAMS = 1024,
	STORE_LEVEL = -3, // of zstd: blobs come and go at the network's speed
	SPARE_FILES = 1024,
	LARGE_PIECE = 128 << 10,
	KEPT_HEAP = 64 << 20
};

static const struct setting_def defs[GATEWAY_OPTIONS] = {
#define OPTION(id, type, dflt, least, most, choices, text) SETTING_DEF(id, type, dflt, least, most, choices, false, text),
#include "gateway/options.def"
#undef OPTION
};

const struct setting_table gateway_options = {
	.program = "coffer gateway",
	.about = "Serves Bazel, recc, Siso and other clients of the Remote Execution API. It keeps blobs and\n"
		 "results of tenants, each for itself. See coffer-gateway(8).",
	.env_prefix = "COFFER_GATEWAY_",
	.file = COFFER_SYSCONFDIR "/coffer/gateway.conf",
	.defs = defs,
	.n = GATEWAY_OPTIONS,
};

struct gateway_program {
	struct settings settings;
	struct arena arena;
	const char *directory;
	bool is_open; // insecure_loopback
	struct rpc_tls *tls, *scheduler_tls, *worker_tls;
	struct loop *loop;
	struct rpc_server *server;
	struct gateway gateway;
	struct executor executor;
	struct gateway_status status;
	struct admin *admin;
};

static const char *text(const struct gateway_program *g, enum gateway_option o)
{
	return setting_text(&g->settings, o);
}

static int64_t number(const struct gateway_program *g, enum gateway_option o)
{
	return setting_number(&g->settings, o);
}

// ---- what is to be ------------------------------------------------------------------------------------------------

static int check_options(struct gateway_program *g, struct err *err)
{
	static const enum gateway_option needed[] = {GATEWAY_certificate, GATEWAY_key, GATEWAY_tenants};
	g->is_open = number(g, GATEWAY_insecure_loopback);
	if (g->is_open && !value_is_of_this_machine(text(g, GATEWAY_listen)))
		return err_set(err, ERR_USAGE, "'insecure_loopback' goes with an address of this machine only, not '%s'",
			       text(g, GATEWAY_listen));
	for (size_t i = 0; !g->is_open && i < COUNT_OF(needed); i++)
		if (!*text(g, needed[i]))
			return err_set(err, ERR_USAGE,
				       "'%s' must be set; 'coffer keys init' makes what a small site needs, and "
				       "--insecure-loopback goes without",
				       defs[needed[i]].name);
	if (!g->is_open && !*text(g, GATEWAY_client_ca) && !*text(g, GATEWAY_users_jwks))
		return err_set(err, ERR_USAGE,
			       "neither 'client_ca' nor 'users_jwks' is set: no client could show who it is");
	if (*text(g, GATEWAY_scheduler) && *setting_words(&g->settings, GATEWAY_workers))
		return err_set(err, ERR_USAGE, "'workers' and 'scheduler' do not go together");
	for (const char *const *w = setting_words(&g->settings, GATEWAY_workers); *w; w++)
		if (strncmp(*w, "unix:", 5) != 0 && !value_is_of_this_machine(*w))
			return err_set(err, ERR_USAGE, "'workers' are of this machine: '%s' needs a scheduler", *w);
	if (number(g, GATEWAY_memory) / BLOBS_IN_MEMORY < number(g, GATEWAY_blob_size))
		return err_set(err, ERR_USAGE,
			       "'memory' must be at least %d times 'blob_size', or no large blob comes through",
			       BLOBS_IN_MEMORY);
	if (!token_is_image(text(g, GATEWAY_image)))
		return err_set(err, ERR_USAGE, "'image' is 'sha256:' and 64 hex digits, or 'host:any'");
	if (*text(g, GATEWAY_users_jwks) && (!*text(g, GATEWAY_users_issuer) || !*text(g, GATEWAY_users_audience)))
		return err_set(err, ERR_USAGE,
			       "'users_jwks' needs 'users_issuer' and 'users_audience': else tokens for others would do");
	return 0;
}

static const char *usual_directory(struct gateway_program *g)
{
	const char *state = getenv("STATE_DIRECTORY"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (state && *state)
		return state; // systemd
	if (geteuid() == 0)
		return "/var/lib/coffer-gateway";
	if (cache && *cache == '/')
		return arena_printf(&g->arena, "%s/coffer-gateway", cache);
	return home && *home == '/' ? arena_printf(&g->arena, "%s/.cache/coffer-gateway", home) : NULL;
}

static int make_directory(struct gateway_program *g, struct err *err)
{
	g->directory = *text(g, GATEWAY_folder) ? text(g, GATEWAY_folder) : usual_directory(g);
	if (!g->directory)
		return err_set(err, ERR_USAGE, "'folder' must be set");
	g->directory = arena_printf(&g->arena, "%s/tenants", g->directory);
	return file_make_dirs(g->directory, 0700, err);
}

static void raise_limits(const struct gateway_program *g)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)(number(g, GATEWAY_max_connections) + number(g, GATEWAY_max_calls) + SPARE_FILES);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want)
		log_event(LOG_LEVEL_WARN, "fewer descriptors than connections and calls need",
			  LOG_NUMBER("descriptors", limit.rlim_cur));
}

// ---- starting -----------------------------------------------------------------------------------------------------

static struct callers_config callers_of(const struct gateway_program *g)
{
	return (struct callers_config){.is_open = g->is_open,
				       .tenants = text(g, GATEWAY_tenants),
				       .users_jwks = text(g, GATEWAY_users_jwks),
				       .users_issuer = text(g, GATEWAY_users_issuer),
				       .users_audience = text(g, GATEWAY_users_audience),
				       .users_claim = text(g, GATEWAY_users_claim),
				       .result_writers = setting_words(&g->settings, GATEWAY_result_writers)};
}

// Nothing is believed that nobody has sealed.
static int open_store(struct gateway_program *g, struct err *err)
{
	struct shared_store_settings settings = {.remote = {.url = text(g, GATEWAY_store),
							    .credentials = text(g, GATEWAY_store_credentials),
							    .ca = text(g, GATEWAY_store_ca)},
						 .seal = {.key = text(g, GATEWAY_store_key),
							  .signer = text(g, GATEWAY_store_signer),
							  .verifiers = text(g, GATEWAY_store_verifiers)},
						 .access = (enum shared_access)number(g, GATEWAY_store_access),
						 .timeout_ms = number(g, GATEWAY_store_timeout)};
	struct shared_store *store;
	if (shared_store_open(&settings, &store, err) < 0)
		return err_wrap(err, "the store of the gateways");
	if (store && seal_is_none(store->seal)) {
		shared_store_close(store, 0);
		return err_set(err, ERR_USAGE,
			       "a store of the gateways needs 'store_key', or 'store_signer' and 'store_verifiers': whoever "
			       "can write to it could plant results");
	}
	if (store)
		g->gateway.shared = shared_actions_new(store);
	return 0;
}

static int start_service(struct gateway_program *g, struct err *err)
{
	struct callers_config callers = callers_of(g);
	if (open_store(g, err) < 0)
		return -1;
	const struct blobs_config blobs = {.directory = g->directory,
					   .tenant_bytes = (uint64_t)number(g, GATEWAY_tenant_size),
					   .memory_bytes = (uint64_t)number(g, GATEWAY_memory),
					   .max_blob_bytes = number(g, GATEWAY_blob_size),
					   .level = STORE_LEVEL,
					   .shared = g->gateway.shared};
	if (callers_new(&callers, &g->gateway.callers, err) < 0)
		return -1;
	pthread_mutex_init(&g->gateway.refusals.lock, NULL);
	g->gateway.blobs = blobs_new(&blobs);
	g->gateway.uploads = uploads_new();
	return 0;
}

static int start_executor(struct gateway_program *g, struct err *err)
{
	struct executor *x = &g->executor;
	struct rpc_tls_config client = {.certificate = text(g, GATEWAY_certificate),
					.key = text(g, GATEWAY_key),
					.ca = setting_text_or_null(&g->settings, GATEWAY_scheduler_ca)};
	struct rpc_tls_config pinned = {.ca = NULL};
	const char *const *workers = setting_words(&g->settings, GATEWAY_workers);
	if (!*text(g, GATEWAY_scheduler) && !*workers)
		return 0;
	if (*text(g, GATEWAY_scheduler) &&
	    (rpc_tls_client(&client, &g->scheduler_tls, err) < 0 || rpc_tls_client(&pinned, &g->worker_tls, err) < 0))
		return -1;
	const struct fleet_config fleet = {.loop = g->loop,
					   .workers = workers,
					   .scheduler = text(g, GATEWAY_scheduler),
					   .scheduler_tls = g->scheduler_tls,
					   .worker_tls = g->worker_tls};
	*x = (struct executor){.gateway = &g->gateway,
			       .fleet = fleet_new(&fleet),
			       .operations = operations_new(execution_work, x),
			       .image = text(g, GATEWAY_image),
			       .ignored = setting_words(&g->settings, GATEWAY_ignored_properties)};
	g->gateway.executor = x;
	return 0;
}

static int start_server(struct gateway_program *g, char bound[RPC_ADDRESS_MAX], struct err *err)
{
	struct rpc_tls_config tls = {.certificate = text(g, GATEWAY_certificate),
				     .key = text(g, GATEWAY_key),
				     .ca = setting_text_or_null(&g->settings, GATEWAY_client_ca)};
	struct rpc_server_config config = {
		.methods = gateway_methods,
		.n_methods = g->gateway.executor ? GATEWAY_METHODS : GATEWAY_CACHE_METHODS,
		.arg = &g->gateway,
		.admit = gateway_admit,
		.leave = gateway_leave,
		.limits = {.message_bytes = GATEWAY_MESSAGE_BYTES,
			   .send_bytes = 1 << 20,
			   .stream_window = 4 << 20,
			   .streams = STREAMS,
			   .calls = (uint32_t)number(g, GATEWAY_max_calls) + STRANGER_CALLS,
			   .stranger_calls = STRANGER_CALLS,
			   .connections = (uint32_t)number(g, GATEWAY_max_connections)},
	};
	if ((!g->is_open && rpc_tls_server(&tls, &g->tls, err) < 0) || rpc_server_new(g->loop, &config, &g->server, err) < 0)
		return -1;
	return rpc_server_listen(g->server, text(g, GATEWAY_listen), g->tls, bound, err);
}

static int start(struct gateway_program *g, struct err *err)
{
	char bound[RPC_ADDRESS_MAX] = "", admin[ADMIN_ADDRESS_MAX] = "";
	if (check_options(g, err) < 0 || make_directory(g, err) < 0)
		return -1;
	raise_limits(g);
	if (loop_start(&g->loop, err) < 0 || start_service(g, err) < 0 || start_executor(g, err) < 0 ||
	    start_server(g, bound, err) < 0)
		return -1;
	g->status.gateway = &g->gateway;
	g->status.server = g->server;
	struct admin_config operators = {.address = text(g, GATEWAY_admin),
					 .token_file = setting_text_or_null(&g->settings, GATEWAY_admin_token_file),
					 .pages = gateway_pages,
					 .n_pages = GATEWAY_PAGES,
					 .ctx = &g->status};
	if (*operators.address && admin_start(&operators, admin, &g->admin, err) < 0)
		return -1;
	if (g->is_open)
		log_event(LOG_LEVEL_WARN,
			  "insecure: whoever reaches the address may be every tenant, as there is no TLS and "
			  "no token");
	log_event(LOG_LEVEL_INFO, "gateway serves", LOG_TEXT("address", bound), LOG_TEXT("admin", admin),
		  LOG_TEXT("folder", g->directory), LOG_TEXT("version", COFFER_VERSION));
	return 0;
}

static void stop(struct gateway_program *g)
{
	admin_stop(g->admin);
	if (g->server)
		rpc_server_free(g->server);
	operations_free(g->executor.operations);
	fleet_free(g->executor.fleet);
	if (g->loop)
		loop_stop(g->loop);
	rpc_tls_free(g->tls);
	rpc_tls_free(g->scheduler_tls);
	rpc_tls_free(g->worker_tls);
	uploads_free(g->gateway.uploads);
	if (shared_actions_free(g->gateway.shared))
		blobs_free(g->gateway.blobs);
	callers_free(g->gateway.callers);
	arena_release(&g->arena);
}

// ---- serving ------------------------------------------------------------------------------------------------------

static void reload(struct gateway_program *g)
{
	struct err err = ERR_INIT;
	if (g->tls && rpc_tls_reload(g->tls, &err) < 0)
		log_event(LOG_LEVEL_ERROR, "certificates not read again, the old ones stay", LOG_TEXT("why", err.text));
	if (callers_reload(g->gateway.callers, &err) < 0)
		log_event(LOG_LEVEL_ERROR, "tenants and keys not read again, the old ones stay", LOG_TEXT("why", err.text));
	else
		log_event(LOG_LEVEL_INFO, "tenants and keys read again");
}

static void drain(struct gateway_program *g)
{
	int drain_ms = (int)number(g, GATEWAY_drain_time);
	log_event(LOG_LEVEL_INFO, "gateway drains");
	program_end_within(drain_ms + END_MS);
	g->status.is_draining = true;
	rpc_server_set_health(g->server, "", false);
	size_t left = rpc_server_drain(g->server, drain_ms);
	log_event(LOG_LEVEL_INFO, "gateway ends", LOG_NUMBER("calls_left", left));
}

static void serve(struct gateway_program *g, const sigset_t *signals)
{
	const struct timespec turn = {.tv_sec = TIDY_S};
	for (;;) {
		int signal = sigtimedwait(signals, NULL, &turn);
		if (signal == SIGHUP) {
			reload(g);
		} else if (signal > 0) {
			drain(g);
			return;
		} else {
			uploads_tidy(g->gateway.uploads);
			if (g->gateway.executor)
				operations_tidy(g->executor.operations);
			blobs_tidy(g->gateway.blobs);
		}
	}
}

// Reads what start() would; makes no folder and listens nowhere.
static int check(struct gateway_program *g, struct err *err)
{
	struct rpc_tls_config tls = {.certificate = text(g, GATEWAY_certificate),
				     .key = text(g, GATEWAY_key),
				     .ca = setting_text_or_null(&g->settings, GATEWAY_client_ca)};
	struct callers_config callers;
	if (check_options(g, err) < 0)
		return -1;
	if (!g->is_open && (keys_check_time(tls.certificate, NULL, err) < 0 || rpc_tls_server(&tls, &g->tls, err) < 0))
		return -1;
	callers = callers_of(g);
	if (callers_new(&callers, &g->gateway.callers, err) < 0)
		return -1;
	printf("coffer: the gateway's settings are good\n");
	return 0;
}

int gateway_main(int argc, char **argv)
{
	struct gateway_program g = {.is_open = false};
	struct err err = ERR_INIT;
	sigset_t signals;
	bool is_check = program_take_check(&argc, argv);
	int rc = program_begin(&g.settings, &gateway_options, argc, argv,
			       (struct program_log){GATEWAY_log_level, GATEWAY_log_format}, &signals);
	if (rc >= 0)
		return rc;
	// What is large goes back to the system at once, and what is in use again and again stays.
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
	mallopt(M_TRIM_THRESHOLD, KEPT_HEAP);
	rc = is_check ? check(&g, &err) : start(&g, &err);
	if (rc == 0 && !is_check)
		serve(&g, &signals);
	stop(&g);
	settings_release(&g.settings);
	return rc == 0 ? 0 : flags_fail(&gateway_options, &err);
}
