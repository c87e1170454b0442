#include "worker/worker.h"

#include "worker/shared_results.h"

#include "audit/log.h"
#include "auth/keys.h"
#include "base/file.h"
#include "base/log.h"
#include "base/self.h"
#include "base/value.h"
#include "image/use.h"
#include "remote/net/tls.h"
#include "service/admin.h"
#include "service/program.h"
#include "settings/flags.h"
#include "worker/register.h"
#include "worker/service.h"
#include "worker/status.h"

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
	END_MS = 10000, // after the drain: for processes to be killed and files to be closed
	SPARE_JOBS = 64,
	SPARE_CALLS = 256,
	STRANGER_CALLS = 256, // until their tokens have been looked at
	FILES_PER_JOB = 8,
	SPARE_FILES = 1024,
	LARGE_PIECE = 128 << 10,
	KEPT_HEAP = 16 << 20
};

static const struct setting_def defs[WORKER_OPTIONS] = {
#define OPTION(id, type, dflt, least, most, choices, text) SETTING_DEF(id, type, dflt, least, most, choices, false, text),
#include "worker/options.def"
#undef OPTION
};

const struct setting_table worker_options = {
	.program = "coffer worker",
	.about = "Runs compile jobs for tenants, each in a sandbox, and keeps their results. It believes nothing\n"
		 "that a client says but the scheduler's signed token. See coffer-worker(8).",
	.env_prefix = "COFFER_WORKER_",
	.file = COFFER_SYSCONFDIR "/coffer/worker.conf",
	.defs = defs,
	.n = WORKER_OPTIONS,
};

enum { RUNTIME_PROCESS = 1 }; // among the choices of the setting

struct worker_program {
	struct settings settings;
	struct arena arena;
	const char *name, *directory, *address;
	unsigned slots;
	bool is_open; // insecure_loopback
	struct toolchain_config toolchain;
	struct rpc_tls *server_tls, *client_tls;
	struct loop *loop;
	struct rpc_server *server;
	struct worker_service service;
	struct limits job_limits;
	struct worker_status status;
	struct registration *registration;
	struct admin *admin;
};

// ---- what is to be ------------------------------------------------------------------------------------------------

static int check_options(struct worker_program *w, struct err *err)
{
	static const enum worker_option needed[] = {WORKER_certificate, WORKER_key, WORKER_token_jwks};
	const char *listen = setting_text(&w->settings, WORKER_listen), *host;
	uint16_t port;
	w->is_open = setting_number(&w->settings, WORKER_insecure_loopback);
	if (strncmp(listen, "unix:", 5) != 0 && !value_split_address(&w->arena, listen, &host, &port))
		return err_set(err, ERR_USAGE, "'listen' takes HOST:PORT or unix:PATH");
	if (w->is_open && !value_is_of_this_machine(listen))
		return err_set(err, ERR_USAGE, "'insecure_loopback' goes with an address of this machine only, not '%s'",
			       listen);
	if (w->is_open && *setting_text(&w->settings, WORKER_scheduler))
		return err_set(err, ERR_USAGE, "'insecure_loopback' does not go with a scheduler");
	for (size_t i = 0; !w->is_open && i < COUNT_OF(needed); i++)
		if (!*setting_text(&w->settings, needed[i]))
			return err_set(err, ERR_USAGE,
				       "'%s' must be set; 'coffer keys init' makes what a small site needs, and "
				       "--insecure-loopback goes without",
				       defs[needed[i]].name);
	return 0;
}

static int find_name(struct worker_program *w, struct err *err)
{
	char host[TOKEN_NAME_MAX + 1] = "";
	w->name = setting_text(&w->settings, WORKER_name);
	if (!*w->name && gethostname(host, sizeof host - 1) == 0)
		w->name = arena_strdup(&w->arena, host);
	if (!token_is_name(w->name))
		return err_set(err, ERR_USAGE, "'name' has 1 to %d of A-Z a-z 0-9 . _ -", TOKEN_NAME_MAX);
	return 0;
}

static const char *usual_directory(struct worker_program *w)
{
	const char *state = getenv("STATE_DIRECTORY"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (state && *state)
		return state; // systemd
	if (geteuid() == 0)
		return "/var/lib/coffer-worker";
	if (cache && *cache == '/')
		return arena_printf(&w->arena, "%s/coffer-worker", cache);
	return home && *home == '/' ? arena_printf(&w->arena, "%s/.cache/coffer-worker", home) : NULL;
}

// DIRECTORY/scratch and DIRECTORY/results, which nobody else may look into.
static int make_directories(struct worker_program *w, struct err *err)
{
	w->directory =
		*setting_text(&w->settings, WORKER_folder) ? setting_text(&w->settings, WORKER_folder) : usual_directory(w);
	if (!w->directory)
		return err_set(err, ERR_USAGE, "'folder' must be set");
	return file_make_dirs(arena_printf(&w->arena, "%s/scratch", w->directory), 0700, err) < 0 ||
			       file_make_dirs(arena_printf(&w->arena, "%s/results", w->directory), 0700, err) < 0
		       ? -1
		       : 0;
}

static const char *agent_of(struct worker_program *w)
{
	if (*setting_text(&w->settings, WORKER_agent))
		return setting_text(&w->settings, WORKER_agent);
	const char *file = self_beside(&w->arena, "coffer-agent");
	return file ? file : "coffer-agent";
}

static void raise_limits(const struct worker_program *w)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)setting_number(&w->settings, WORKER_max_connections) + w->slots * FILES_PER_JOB + SPARE_FILES;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < want)
		log_event(LOG_LEVEL_WARN, "fewer descriptors than connections and slots need",
			  LOG_NUMBER("descriptors", limit.rlim_cur));
}

// ---- starting -----------------------------------------------------------------------------------------------------

// Layers count for the memory of their session: jobs keep most of it.
static uint64_t layer_bytes(const struct worker_program *w)
{
	uint64_t asked = (uint64_t)setting_number(&w->settings, WORKER_input_cache);
	uint64_t quarter = (uint64_t)setting_number(&w->settings, WORKER_session_memory) / 4;
	return quarter && quarter < asked ? quarter : asked;
}

static int start_runtime(struct worker_program *w, struct err *err)
{
	struct runtime_config config = {
		.loop = w->loop,
		.agent = agent_of(w),
		.directory = arena_printf(&w->arena, "%s/scratch", w->directory),
		.toolchain = &w->toolchain,
		.limits = {.wall_ms = (uint32_t)setting_number(&w->settings, WORKER_wall_time),
			   .cpu_s = (uint32_t)(setting_number(&w->settings, WORKER_cpu_time) / 1000),
			   .memory_bytes = (uint64_t)setting_number(&w->settings, WORKER_memory),
			   .files = (uint32_t)setting_number(&w->settings, WORKER_files),
			   .processes = (uint32_t)setting_number(&w->settings, WORKER_processes),
			   .file_bytes = (uint64_t)setting_number(&w->settings, WORKER_file_size),
			   .scratch_bytes = (uint64_t)setting_number(&w->settings, WORKER_scratch_size),
			   .message_bytes = (uint64_t)setting_number(&w->settings, WORKER_message_size)},
		// An agent is a moment behind in seeing that a job is over.
		.jobs = w->slots + SPARE_JOBS,
		.layer_bytes = layer_bytes(w),
		.session_memory_bytes = (uint64_t)setting_number(&w->settings, WORKER_session_memory),
		.cgroups_required = setting_number(&w->settings, WORKER_cgroups) == 1,
		.landlock_if_available = setting_number(&w->settings, WORKER_landlock) == 1,
	};
	static const enum isolation kinds[] = {ISOLATION_SANDBOX, [RUNTIME_PROCESS] = ISOLATION_PROCESS, ISOLATION_MICROVM};
	config.vm = (struct vm_config){.monitor = setting_number(&w->settings, WORKER_vm_monitor) == 1 ? VM_FIRECRACKER
												       : VM_QEMU,
				       .firecracker = setting_text(&w->settings, WORKER_vm_firecracker),
				       .jailer = setting_text(&w->settings, WORKER_vm_jailer),
				       .qemu = setting_text(&w->settings, WORKER_vm_qemu),
				       .mkfs = setting_text(&w->settings, WORKER_vm_mkfs),
				       .kernel = setting_text(&w->settings, WORKER_vm_kernel),
				       .modules = setting_text(&w->settings, WORKER_vm_modules),
				       .accel = setting_number(&w->settings, WORKER_vm_accel) == 1 ? VM_TCG : VM_KVM,
				       .boot_ms = (uint32_t)setting_number(&w->settings, WORKER_vm_boot_time),
				       .watch_ms = (uint32_t)setting_number(&w->settings, WORKER_vm_watch),
				       .memory_bytes = (uint64_t)setting_number(&w->settings, WORKER_vm_memory),
				       .ahead = (unsigned)setting_number(&w->settings, WORKER_vm_ahead),
				       .has_snapshots = setting_number(&w->settings, WORKER_vm_saved) > 0};
	w->job_limits = config.limits;
	w->service.runtime_limits = &w->job_limits;
	return runtime_new(kinds[setting_number(&w->settings, WORKER_runtime)], &config, &w->service.runtime, err);
}

static int start_audit(struct worker_program *w, struct err *err)
{
	struct audit_log_config config = {.directory = arena_printf(&w->arena, "%s/audit", w->directory),
					  .origin = w->name,
					  .key = setting_text_or_null(&w->settings, WORKER_audit_key),
					  .sync = (enum audit_sync)setting_number(&w->settings, WORKER_audit_sync),
					  .events = (enum audit_events_to)setting_number(&w->settings, WORKER_audit_events)};
	w->service.keeps_sources = setting_number(&w->settings, WORKER_keep_sources);
	if (!setting_number(&w->settings, WORKER_audit))
		return 0;
	if (audit_log_open(&config, &w->service.audit, err) < 0)
		return err_wrap(err, "no audit log, so no jobs");
	log_event(LOG_LEVEL_INFO, "audit log", LOG_TEXT("folder", config.directory),
		  LOG_TEXT("instance", audit_log_instance(w->service.audit)),
		  LOG_TEXT("key", audit_log_verifier(w->service.audit)),
		  LOG_NUMBER("rows", audit_log_size(w->service.audit)));
	return 0;
}

// In the farm nothing is believed that nobody has sealed.
static int open_store(struct worker_program *w, struct err *err)
{
	const struct settings *o = &w->settings;
	struct shared_store_settings settings = {.remote = {.url = setting_text(o, WORKER_store),
							    .credentials = setting_text(o, WORKER_store_credentials),
							    .ca = setting_text(o, WORKER_store_ca)},
						 .seal = {.key = setting_text(o, WORKER_store_key),
							  .signer = setting_text(o, WORKER_store_signer),
							  .verifiers = setting_text(o, WORKER_store_verifiers)},
						 .access = (enum shared_access)setting_number(o, WORKER_store_access),
						 .timeout_ms = setting_number(o, WORKER_store_timeout)};
	struct shared_store *store;
	if (shared_store_open(&settings, &store, err) < 0)
		return err_wrap(err, "the store of the fleet");
	// Its jobs can read what it can: also what makes results trusted in the whole fleet.
	if (store && setting_number(o, WORKER_runtime) == RUNTIME_PROCESS) {
		shared_store_close(store, 0);
		return err_set(err, ERR_USAGE,
			       "the runtime 'process' and a store of the fleet do not go together: its jobs could read the "
			       "store's keys");
	}
	if (store && seal_is_none(store->seal)) {
		shared_store_close(store, 0);
		return err_set(err, ERR_USAGE,
			       "a store of the fleet needs 'store_key', or 'store_signer' and 'store_verifiers': whoever "
			       "can write to it could plant results");
	}
	if (store)
		results_share(w->service.results, shared_results_new(store, (size_t)setting_number(o, WORKER_output_size)));
	return 0;
}

static int start_service(struct worker_program *w, struct err *err)
{
	struct worker_service *s = &w->service;
	w->toolchain = (struct toolchain_config){
		.images = setting_text_or_null(&w->settings, WORKER_images),
		.uses = arena_printf(&w->arena, "%s/" WORKER_USES, w->directory),
		.extra = setting_words(&w->settings, WORKER_toolchain_folders),
		.no_host = !setting_number(&w->settings, WORKER_host),
	};
	s->name = w->name;
	s->is_paranoid = setting_number(&w->settings, WORKER_paranoid);
	s->limits = (struct worker_limits){.source_bytes = (uint64_t)setting_number(&w->settings, WORKER_source_size),
					   .output_bytes = (uint64_t)setting_number(&w->settings, WORKER_output_size),
					   .message_bytes = (uint64_t)setting_number(&w->settings, WORKER_message_size),
					   .upload_ms = (int)setting_number(&w->settings, WORKER_upload_time)};
	if (w->toolchain.images && access(w->toolchain.images, R_OK | X_OK) < 0)
		return err_errno(err, "cannot look into the folder of images '%s'", w->toolchain.images);
	if (start_runtime(w, err) < 0)
		return -1;
	struct access_config access = {.jwks = setting_text(&w->settings, WORKER_token_jwks),
				       .worker = w->name,
				       .isolation = (int)runtime_isolation(s->runtime),
				       .is_open = w->is_open};
	if (access_new(&access, &s->access, err) < 0)
		return -1;
	struct queue_config queue = {.slots = w->slots,
				     .places = (unsigned)setting_number(&w->settings, WORKER_queue),
				     .tenant_slots = (unsigned)setting_number(&w->settings, WORKER_tenant_slots),
				     .busy_ms = setting_number(&w->settings, WORKER_busy_wall_time),
				     .memory_bytes = (uint64_t)setting_number(&w->settings, WORKER_source_memory)};
	s->images = images_new(&w->toolchain, setting_words(&w->settings, WORKER_compilers));
	s->queue = queue_new(&queue);
	s->flights = single_flight_new();
	// In a sandbox the files of jobs are in memory.
	space_init(&s->space, runtime_isolation(s->runtime) == ISOLATION_PROCESS
				      ? arena_printf(&w->arena, "%s/scratch", w->directory)
				      : NULL);
	s->tally = tenant_stats_new();
	s->misses = misses_new();
	struct sessions_config sessions = {.most = (unsigned)setting_number(&w->settings, WORKER_sessions),
					   .idle_ms = setting_number(&w->settings, WORKER_session_idle),
					   .most_saved = (unsigned)setting_number(&w->settings, WORKER_vm_saved),
					   .saved_ms = setting_number(&w->settings, WORKER_vm_saved_time),
					   .layer_bytes = layer_bytes(w)};
	s->sessions = sessions_new(s->runtime, &sessions);
	s->results = results_new(arena_printf(&w->arena, "%s/results", w->directory),
				 (uint64_t)setting_number(&w->settings, WORKER_results_size));
	s->accounts = accounts_new(s->results);
	return open_store(w, err);
}

static int start_server(struct worker_program *w, char bound[RPC_ADDRESS_MAX], struct err *err)
{
	// A tenant that is alone gets half of the calls, and that is to be enough for all slots and places (remote/shares.h).
	unsigned calls = 2 * (w->slots + (unsigned)setting_number(&w->settings, WORKER_queue) + SPARE_CALLS);
	struct rpc_tls_config tls = {.certificate = setting_text(&w->settings, WORKER_certificate),
				     .key = setting_text(&w->settings, WORKER_key)};
	struct rpc_server_config config = {
		.methods = worker_methods,
		.n_methods = WORKER_METHODS,
		.arg = &w->service,
		.limits = {.streams = calls / 2,
			   .calls = calls + STRANGER_CALLS,
			   .stranger_calls = STRANGER_CALLS,
			   .connections = (uint32_t)setting_number(&w->settings, WORKER_max_connections)},
	};
	if ((!w->is_open && rpc_tls_server(&tls, &w->server_tls, err) < 0) ||
	    rpc_server_new(w->loop, &config, &w->server, err) < 0)
		return -1;
	return rpc_server_listen(w->server, setting_text(&w->settings, WORKER_listen), w->server_tls, bound, err);
}

// Before anything is written anywhere: files that can't be read end the start.
static int read_client_tls(struct worker_program *w, struct err *err)
{
	const char *token = setting_text_or_null(&w->settings, WORKER_register_token);
	// With a token nobody needs to see a certificate of ours.
	struct rpc_tls_config tls = {.certificate = token ? NULL : setting_text(&w->settings, WORKER_certificate),
				     .key = token ? NULL : setting_text(&w->settings, WORKER_key),
				     .ca = setting_text_or_null(&w->settings, WORKER_ca)};
	return *setting_text(&w->settings, WORKER_scheduler) ? rpc_tls_client(&tls, &w->client_tls, err) : 0;
}

static void start_registration(struct worker_program *w, const char *bound)
{
	const char *token = setting_text_or_null(&w->settings, WORKER_register_token);
	if (!*setting_text(&w->settings, WORKER_scheduler))
		return;
	struct register_config config = {
		.loop = w->loop,
		.scheduler = setting_text(&w->settings, WORKER_scheduler),
		.tls = w->client_tls,
		.token = token,
		.address = *setting_text(&w->settings, WORKER_address) ? setting_text(&w->settings, WORKER_address) : bound,
		.server_tls = w->server_tls,
		.slots = w->slots,
		.service = &w->service};
	w->address = arena_strdup(&w->arena, config.address);
	config.address = w->address;
	w->registration = registration_start(&config);
}

static int start(struct worker_program *w, struct err *err)
{
	char bound[RPC_ADDRESS_MAX] = "", admin[ADMIN_ADDRESS_MAX] = "";
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	w->slots = setting_number(&w->settings, WORKER_slots) ? (unsigned)setting_number(&w->settings, WORKER_slots)
		   : cores > 0                                ? (unsigned)cores
							      : 1;
	if (check_options(w, err) < 0 || find_name(w, err) < 0 || make_directories(w, err) < 0)
		return -1;
	raise_limits(w);
	if (loop_start(&w->loop, err) < 0 || start_service(w, err) < 0 || read_client_tls(w, err) < 0 ||
	    start_audit(w, err) < 0 || start_server(w, bound, err) < 0)
		return -1;
	start_registration(w, bound);
	w->status = (struct worker_status){&w->service, w->server, w->registration};
	struct admin_config operators = {.address = setting_text(&w->settings, WORKER_admin),
					 .token_file = setting_text_or_null(&w->settings, WORKER_admin_token_file),
					 .pages = worker_pages,
					 .n_pages = WORKER_PAGES,
					 .ctx = &w->status};
	if (*operators.address && admin_start(&operators, admin, &w->admin, err) < 0)
		return -1;
	if (w->is_open)
		log_event(LOG_LEVEL_WARN,
			  "insecure: whoever reaches the address runs jobs here, as there is no TLS and no token");
	if (runtime_isolation(w->service.runtime) == ISOLATION_PROCESS)
		log_event(LOG_LEVEL_WARN, "the runtime 'process' is no boundary: jobs can read and do what this user can");
	log_event(LOG_LEVEL_INFO, "worker serves", LOG_TEXT("worker", w->name), LOG_TEXT("address", bound),
		  LOG_TEXT("admin", admin), LOG_TEXT("isolation", runtime_label(w->service.runtime)),
		  LOG_NUMBER("slots", w->slots), LOG_TEXT("folder", w->directory), LOG_TEXT("version", COFFER_VERSION));
	return 0;
}

static void stop(struct worker_program *w)
{
	struct worker_service *s = &w->service;
	admin_stop(w->admin);
	if (w->server)
		rpc_server_free(w->server);
	registration_stop(w->registration);
	sessions_free(s->sessions);
	runtime_free(s->runtime);
	if (w->loop)
		loop_stop(w->loop);
	rpc_tls_free(w->server_tls);
	rpc_tls_free(w->client_tls);
	accounts_free(s->accounts);
	results_free(s->results);
	audit_log_close(s->audit);
	single_flight_free(s->flights);
	misses_free(s->misses);
	tenant_stats_free(s->tally);
	queue_free(s->queue);
	images_free(s->images);
	access_free(s->access);
	space_release(&s->space);
	worker_service_release(s);
	arena_release(&w->arena);
}

// ---- serving ------------------------------------------------------------------------------------------------------

static void reload(struct worker_program *w)
{
	struct err err = ERR_INIT;
	bool is_good = true;
	if ((w->server_tls && rpc_tls_reload(w->server_tls, &err) < 0) ||
	    (w->client_tls && rpc_tls_reload(w->client_tls, &err) < 0)) {
		log_event(LOG_LEVEL_ERROR, "certificates not read again, the old ones stay", LOG_TEXT("why", err.text));
		is_good = false;
	}
	if (access_reload(w->service.access, &err) < 0) {
		log_event(LOG_LEVEL_ERROR, "keys of tokens not read again, the old ones stay", LOG_TEXT("why", err.text));
		is_good = false;
	}
	// The scheduler is told the certificate and the images again.
	registration_renew(w->registration);
	if (!w->registration)
		images_refresh(w->service.images);
	if (is_good)
		log_event(LOG_LEVEL_INFO, "certificates and keys read again");
}

static void drain(struct worker_program *w)
{
	int drain_ms = (int)setting_number(&w->settings, WORKER_drain_time);
	log_event(LOG_LEVEL_INFO, "worker drains");
	program_end_within(drain_ms + END_MS);
	w->service.is_draining = true;
	registration_drain(w->registration);
	rpc_server_set_health(w->server, "", false);
	rpc_server_set_health(w->server, "coffer.v1.Worker", false);
	size_t left = rpc_server_drain(w->server, drain_ms);
	log_event(LOG_LEVEL_INFO, "worker ends", LOG_NUMBER("calls_left", left));
}

static void serve(struct worker_program *w, const sigset_t *signals)
{
	const struct timespec turn = {.tv_sec = TIDY_S};
	if (!w->registration) // which looks by itself
		service_look_at_images(&w->service);
	for (;;) {
		int number = sigtimedwait(signals, NULL, &turn);
		if (number == SIGHUP) {
			reload(w);
		} else if (number > 0) {
			drain(w);
			return;
		} else {
			sessions_tidy(w->service.sessions);
			results_tidy(w->service.results);
		}
	}
}

// Reads what start() would of settings, certificates and keys; makes no folder and listens nowhere.
static int check(struct worker_program *w, struct err *err)
{
	struct rpc_tls_config server = {.certificate = setting_text(&w->settings, WORKER_certificate),
					.key = setting_text(&w->settings, WORKER_key)};
	struct rpc_tls_config client = {.ca = setting_text_or_null(&w->settings, WORKER_ca)};
	if (check_options(w, err) < 0 || find_name(w, err) < 0)
		return -1;
	if (!w->is_open) {
		struct access_config config = {.jwks = setting_text(&w->settings, WORKER_token_jwks), .worker = w->name};
		struct access *access = NULL;
		if (keys_check_time(server.certificate, NULL, err) < 0 || rpc_tls_server(&server, &w->server_tls, err) < 0 ||
		    rpc_tls_client(&client, &w->client_tls, err) < 0 || access_new(&config, &access, err) < 0)
			return -1;
		access_free(access);
	}
	printf("coffer: the settings of worker '%s' are good\n", w->name);
	return 0;
}

int worker_main(int argc, char **argv)
{
	struct worker_program w = {0};
	struct err err = ERR_INIT;
	sigset_t signals;
	bool is_check = program_take_check(&argc, argv);
	int rc = program_begin(&w.settings, &worker_options, argc, argv,
			       (struct program_log){WORKER_log_level, WORKER_log_format}, &signals);
	if (rc >= 0)
		return rc;
	// What is large goes back to the system at once, and what is in use again and again stays.
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
	mallopt(M_TRIM_THRESHOLD, KEPT_HEAP);
	worker_service_init(&w.service);
	rc = is_check ? check(&w, &err) : start(&w, &err);
	if (rc == 0 && !is_check)
		serve(&w, &signals);
	stop(&w);
	settings_release(&w.settings);
	return rc == 0 ? 0 : flags_fail(&worker_options, &err);
}

// ---- replay -------------------------------------------------------------------------------------------------------

int worker_replay(int argc, char **argv, int (*replay)(void *ctx, struct worker_service *s, const char *log), void *ctx)
{
	struct worker_program w = {0};
	struct err err = ERR_INIT;
	if (flags_load(&w.settings, &worker_options, argc, argv, NULL, NULL, &err) < 0)
		return flags_fail(&worker_options, &err);
	log_set_level(LOG_LEVEL_WARN);
	worker_service_init(&w.service);
	w.is_open = true;
	w.slots = 1;
	w.name = "replay";
	int rc = -1;
	if (make_directories(&w, &err) == 0 && loop_start(&w.loop, &err) == 0 && start_service(&w, &err) == 0)
		rc = replay(ctx, &w.service, arena_printf(&w.arena, "%s/audit", w.directory));
	stop(&w);
	settings_release(&w.settings);
	return rc >= 0 ? rc : flags_fail(&worker_options, &err);
}
