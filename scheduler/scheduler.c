#include "scheduler/scheduler.h"

#include "auth/keys.h"
#include "base/log.h"
#include "remote/net/tls.h"
#include "scheduler/service.h"
#include "scheduler/siblings.h"
#include "scheduler/status.h"
#include "service/admin.h"
#include "service/program.h"
#include "settings/flags.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct setting_def defs[SCHEDULER_OPTIONS] = {
#define OPTION(id, type, dflt, least, most, choices, text) SETTING_DEF(id, type, dflt, least, most, choices, false, text),
#include "scheduler/options.def"
#undef OPTION
};

const struct setting_table scheduler_options = {
	.program = "coffer scheduler",
	.about = "Tells clients which workers they may use, and gives them tokens for these. Workers register\n"
		 "with it. It never sees sources, keys of the cache or results. See coffer-scheduler(8).",
	.env_prefix = "COFFER_SCHEDULER_",
	.file = COFFER_SYSCONFDIR "/coffer/scheduler.conf",
	.defs = defs,
	.n = SCHEDULER_OPTIONS,
};

enum { ETCD_PREFIX_MAX = 100, ETCD_LEASE_MIN_MS = 5000 };

struct scheduler {
	struct settings settings;
	struct trust_files files;
	struct rpc_tls *tls, *etcd_tls;
	struct loop *loop;
	struct rpc_server *server;
	struct admin *admin;
	struct siblings *siblings; // NULL: this scheduler is the only one
	struct service service;
	bool has_service;
};

// ---- starting -----------------------------------------------------------------------------------------------------

// What is written there decides who gets the users' sources: over a network it must be known who answers.
static int check_etcd(const struct scheduler *s, struct err *err)
{
	const struct settings *c = &s->settings;
	AUTO_FREE char *all = mem_strdup(setting_text(c, SCHEDULER_etcd));
	const char *prefix = setting_text(c, SCHEDULER_etcd_prefix);
	size_t n = strlen(prefix);
	char *save = NULL;
	for (char *w = strtok_r(all, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save))
		if (!*setting_text(c, SCHEDULER_etcd_ca) && !value_is_of_this_machine(w))
			return err_set(err, ERR_USAGE, "'etcd' names another machine, '%s': that needs 'etcd_ca'", w);
	if (!n || n > ETCD_PREFIX_MAX || prefix[n - 1] != '/')
		return err_set(err, ERR_USAGE, "'etcd_prefix' has 1 to %d characters and ends with '/'", ETCD_PREFIX_MAX);
	if (!*setting_text(c, SCHEDULER_etcd_user) != !*setting_text(c, SCHEDULER_etcd_password_file))
		return err_set(err, ERR_USAGE, "'etcd_user' and 'etcd_password_file' need each other");
	return 0;
}

static int check_options(const struct scheduler *s, struct err *err)
{
	static const enum scheduler_option needed[] = {SCHEDULER_certificate, SCHEDULER_key, SCHEDULER_token_key,
						       SCHEDULER_tenants, SCHEDULER_listen};
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!*setting_text(&s->settings, needed[i]))
			return err_set(err, ERR_USAGE, "'%s' must be set; 'coffer keys init' makes what a small site needs",
				       defs[needed[i]].name);
	if (!*setting_text(&s->settings, SCHEDULER_client_ca) && !*setting_text(&s->settings, SCHEDULER_users_jwks))
		return err_set(err, ERR_USAGE, "neither 'client_ca' nor 'users_jwks' is set: no user could show who it is");
	if (*setting_text(&s->settings, SCHEDULER_users_jwks) &&
	    (!*setting_text(&s->settings, SCHEDULER_users_issuer) || !*setting_text(&s->settings, SCHEDULER_users_audience)))
		return err_set(err, ERR_USAGE,
			       "'users_jwks' needs 'users_issuer' and 'users_audience': else tokens for others would do");
	if (!token_is_name(setting_text(&s->settings, SCHEDULER_name)))
		return err_set(err, ERR_USAGE, "'name' has 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	if (check_etcd(s, err) < 0)
		return -1;
	if (setting_number(&s->settings, SCHEDULER_token_lifetime) < setting_number(&s->settings, SCHEDULER_route_lifetime))
		return err_set(err, ERR_USAGE, "'token_lifetime' is less than 'route_lifetime'");
	return 0;
}

// A descriptor for each connection, and some.
static void raise_file_limit(const struct scheduler *s)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)setting_number(&s->settings, SCHEDULER_max_connections) + 256;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want)
		log_event(LOG_LEVEL_WARN, "fewer descriptors than max_connections",
			  LOG_NUMBER("descriptors", limit.rlim_cur));
}

static int start_service(struct scheduler *s, struct err *err)
{
	struct trust *trust;
	s->files = (struct trust_files){
		setting_text(&s->settings, SCHEDULER_tenants), setting_text(&s->settings, SCHEDULER_token_key),
		setting_text(&s->settings, SCHEDULER_token_jwks), setting_text(&s->settings, SCHEDULER_users_jwks)};
	if (trust_load(&s->files, &trust, err) < 0)
		return -1;
	struct service_config config = {
		.name = setting_text(&s->settings, SCHEDULER_name),
		.users_issuer = setting_text(&s->settings, SCHEDULER_users_issuer),
		.users_audience = setting_text(&s->settings, SCHEDULER_users_audience),
		.users_claim = setting_text(&s->settings, SCHEDULER_users_claim),
		.heartbeat_ms = setting_number(&s->settings, SCHEDULER_heartbeat),
		.route_lifetime_ms = setting_number(&s->settings, SCHEDULER_route_lifetime),
		.token_lifetime_ms = setting_number(&s->settings, SCHEDULER_token_lifetime),
		.max_workers = (size_t)setting_number(&s->settings, SCHEDULER_max_workers),
		.tenant_routes = (unsigned)setting_number(&s->settings, SCHEDULER_tenant_routes),
	};
	service_init(&s->service, &config, trust);
	s->has_service = true;
	return 0;
}

// A dead scheduler's workers are gone for the others as late as a dead worker is.
static int start_siblings(struct scheduler *s, struct err *err)
{
	const struct settings *c = &s->settings;
	int64_t lease_ms = REGISTRY_DEAD_AFTER * setting_number(c, SCHEDULER_heartbeat);
	struct rpc_tls_config tls = {.certificate = setting_text_or_null(c, SCHEDULER_etcd_certificate),
				     .key = setting_text_or_null(c, SCHEDULER_etcd_key),
				     .ca = setting_text_or_null(c, SCHEDULER_etcd_ca)};
	if (!setting_number(c, SCHEDULER_etcd))
		return 0;
	if (tls.ca && rpc_tls_client(&tls, &s->etcd_tls, err) < 0)
		return -1;
	struct siblings_config config = {.loop = s->loop,
					 .endpoints = setting_text(c, SCHEDULER_etcd),
					 .tls = s->etcd_tls,
					 .prefix = setting_text(c, SCHEDULER_etcd_prefix),
					 .user = setting_text(c, SCHEDULER_etcd_user),
					 .password_file = setting_text(c, SCHEDULER_etcd_password_file),
					 .lease_s = lease_ms > ETCD_LEASE_MIN_MS ? (int)(lease_ms / 1000)
										 : ETCD_LEASE_MIN_MS / 1000,
					 .away_ms = setting_number(c, SCHEDULER_etcd_away)};
	s->service.siblings = s->siblings = siblings_start(&config, &s->service);
	return 0;
}

enum { ROUTE_CALLS = 2048, STRANGER_CALLS = 1024, END_MS = 10000 };

// Everybody who comes is a stranger until the first call is answered: all clients may come at once after a restart.
static uint32_t stranger_connections(const struct scheduler *s)
{
	return (uint32_t)setting_number(&s->settings, SCHEDULER_max_connections) / 2 + 1;
}

static int start_server(struct scheduler *s, char bound[RPC_ADDRESS_MAX], struct err *err)
{
	struct rpc_tls_config tls = {.certificate = setting_text(&s->settings, SCHEDULER_certificate),
				     .key = setting_text(&s->settings, SCHEDULER_key),
				     .ca = setting_text_or_null(&s->settings, SCHEDULER_client_ca)};
	struct rpc_server_config config = {
		.methods = service_methods,
		.n_methods = SERVICE_METHODS,
		.arg = &s->service,
		// Its messages are small, and a client has few calls at once.
		.limits = {.message_bytes = 256 << 10,
			   .stream_window = 512 << 10,
			   .connection_window = 1 << 20,
			   .connection_bytes = 4 << 20,
			   .streams = 32,
			   .calls = (uint32_t)setting_number(&s->settings, SCHEDULER_max_workers) + ROUTE_CALLS +
				    STRANGER_CALLS,
			   .stranger_calls = STRANGER_CALLS,
			   .stranger_connections = stranger_connections(s),
			   .connections = (uint32_t)setting_number(&s->settings, SCHEDULER_max_connections)},
	};
	if (rpc_tls_server(&tls, &s->tls, err) < 0 || loop_start(&s->loop, err) < 0 ||
	    rpc_server_new(s->loop, &config, &s->server, err) < 0)
		return -1;
	s->service.server = s->server;
	return rpc_server_listen(s->server, setting_text(&s->settings, SCHEDULER_listen), s->tls, bound, err);
}

static int start(struct scheduler *s, struct err *err)
{
	char bound[RPC_ADDRESS_MAX] = "", admin[ADMIN_ADDRESS_MAX] = "";
	if (check_options(s, err) < 0)
		return -1;
	raise_file_limit(s);
	if (start_service(s, err) < 0 || start_server(s, bound, err) < 0 || start_siblings(s, err) < 0)
		return -1;
	struct admin_config operators = {.address = setting_text(&s->settings, SCHEDULER_admin),
					 .token_file = setting_text_or_null(&s->settings, SCHEDULER_admin_token_file),
					 .pages = status_pages,
					 .n_pages = STATUS_PAGES,
					 .ctx = &s->service};
	if (*operators.address && admin_start(&operators, admin, &s->admin, err) < 0)
		return -1;
	log_event(LOG_LEVEL_INFO, "scheduler serves", LOG_TEXT("address", bound), LOG_TEXT("admin", admin),
		  LOG_NUMBER("tenants", tenants_count(s->service.trust->tenants)), LOG_TEXT("version", COFFER_VERSION),
		  LOG_TEXT("key", token_signer_key_id(s->service.trust->signer)));
	return 0;
}

static void stop(struct scheduler *s)
{
	admin_stop(s->admin);
	if (s->server)
		rpc_server_free(s->server);
	siblings_stop(s->siblings);
	if (s->loop)
		loop_stop(s->loop);
	rpc_tls_free(s->tls);
	rpc_tls_free(s->etcd_tls);
	if (s->has_service)
		service_release(&s->service);
}

// ---- serving ------------------------------------------------------------------------------------------------------

static void reload(struct scheduler *s)
{
	struct err err = ERR_INIT;
	struct trust *trust;
	if (rpc_tls_reload(s->tls, &err) < 0)
		log_event(LOG_LEVEL_ERROR, "certificates not read again, the old ones stay", LOG_TEXT("why", err.text));
	if (trust_load(&s->files, &trust, &err) < 0) {
		log_event(LOG_LEVEL_ERROR, "tenants and keys not read again, the old ones stay", LOG_TEXT("why", err.text));
		return;
	}
	log_event(LOG_LEVEL_INFO, "tenants and keys read again", LOG_NUMBER("tenants", tenants_count(trust->tenants)),
		  LOG_TEXT("key", token_signer_key_id(trust->signer)));
	service_set_trust(&s->service, trust);
}

static void drain(struct scheduler *s)
{
	int drain_ms = (int)setting_number(&s->settings, SCHEDULER_drain_time);
	log_event(LOG_LEVEL_INFO, "scheduler drains");
	program_end_within(drain_ms + END_MS);
	rpc_server_set_health(s->server, "", false);
	rpc_server_set_health(s->server, "coffer.v1.Scheduler", false);
	service_drain(&s->service);
	size_t left = rpc_server_drain(s->server, drain_ms);
	log_event(LOG_LEVEL_INFO, "scheduler ends", LOG_NUMBER("calls_left", left));
}

static void serve(struct scheduler *s, const sigset_t *signals)
{
	for (;;) {
		int number = sigwaitinfo(signals, NULL);
		if (number == SIGHUP) {
			reload(s);
		} else if (number > 0) {
			drain(s);
			return;
		}
	}
}

// Reads all that start() would, and listens nowhere.
static int check(struct scheduler *s, struct err *err)
{
	struct rpc_tls_config tls = {.certificate = setting_text(&s->settings, SCHEDULER_certificate),
				     .key = setting_text(&s->settings, SCHEDULER_key),
				     .ca = setting_text_or_null(&s->settings, SCHEDULER_client_ca)};
	if (check_options(s, err) < 0 || keys_check_time(setting_text(&s->settings, SCHEDULER_certificate), NULL, err) < 0 ||
	    rpc_tls_server(&tls, &s->tls, err) < 0 || start_service(s, err) < 0)
		return -1;
	printf("coffer: the scheduler's settings are good: %zu tenants, certificate %s\n",
	       tenants_count(s->service.trust->tenants), setting_text(&s->settings, SCHEDULER_certificate));
	return 0;
}

int scheduler_main(int argc, char **argv)
{
	struct scheduler s = {0};
	struct err err = ERR_INIT;
	sigset_t signals;
	bool is_check = program_take_check(&argc, argv);
	int rc = program_begin(&s.settings, &scheduler_options, argc, argv,
			       (struct program_log){SCHEDULER_log_level, SCHEDULER_log_format}, &signals);
	if (rc >= 0)
		return rc;
	mallopt(M_ARENA_MAX, 1); // its few threads have little to say: a heap for each would be memory for nothing
	rc = is_check ? check(&s, &err) : start(&s, &err);
	if (rc == 0 && !is_check)
		serve(&s, &signals);
	stop(&s);
	settings_release(&s.settings);
	return rc == 0 ? 0 : flags_fail(&scheduler_options, &err);
}
