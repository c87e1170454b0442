// What keeps builds from the farm: settings that can't work, certificates, tokens, clocks, and whether scheduler and workers answer. What
// there is to say about each worker is in doctor_workers.c.
#include "client/verbs/doctor_farm.h"

#include "auth/keys.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/value.h"
#include "client/farm/cluster.h"
#include "remote/net/tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	CONNECT_MS = 3000,
	ANSWER_MS = 5000,
	MAX_TOKEN = 8192,
	MAX_WORKERS = 16,
	SKEW_MS = 5000,
	CLUSTER_MS = 3000,
	TOKEN_SKEW_MS = 30000
};
enum { SOON_S = 14 * 86400 }; // that a certificate has left

static const char *text_of(const struct doctor *d, enum setting s)
{
	return setting_text(&d->config, s);
}

static const char *text_or_null(const struct doctor *d, enum setting s)
{
	return *text_of(d, s) ? text_of(d, s) : NULL;
}

// ---- what to do about it ------------------------------------------------------------------------------------------------

// What is said on the way to a peer, and what mends it; the first that fits. Words of ours (remote/net/tls_words.c, auth/token.c,
// scheduler/), of the kernel and of the resolver.
static const struct {
	const char *words, *fix;
} fixes[] = {
	{"not the pinned one", "it shows another certificate than it has registered with: 'systemctl reload coffer-worker' "
			       "there; if that is no help, "
			       "somebody is in between"},
	{"for another name", "use a name that is in the certificate, or make one for this name (coffer keys)"},
	{"not for this IP address", "use the name that is in the certificate, or make one with the address (coffer keys)"},
	{"no authority that is known here", "set 'scheduler_ca' to the ca.pem of this farm"},
	{"it has signed itself", "set 'scheduler_ca' to the ca.pem of this farm"},
	{"that our certificate has expired",
	 "ask the farm's operator for a new certificate: 'coffer keys add'; if it is new, set the scheduler's clock"},
	{"the authority that has signed our certificate",
	 "'certificate' is another farm's: ask this farm's operator for one"},
	{"it has expired",
	 "tell the farm's operator: certificates are renewed as docs/operator.md says; or set this machine's clock"},
	{"the token is not valid yet",
	 "set the clocks of the scheduler and of this worker, best by NTP: 'timedatectl' there"},
	{"not valid yet", "set the clocks: 'timedatectl' here and there"},
	{"not one that is accepted",
	 "give the worker the farm's present jwks.json and reload it ('coffer token inspect' says which key a token wants)"},
	{"belong to no tenant", "ask the farm's operator for a line 'certificate' or 'claim' in tenants.conf"},
	{"several tenants", "set 'tenant' to one of them"},
	{"not one of yours", "unset 'tenant', or set it to one of yours"},
	{"may not use this image", "set 'image' to one that your tenant may use, or ask for a line 'image' in tenants.conf"},
	{"has the image",
	 "install on the workers what is here, or set 'image' to one of theirs: see 'coffer status' and docs/operator.md"},
	{"isolates as", "set 'isolation' lower, or ask for workers that can do more ('coffer doctor worker' there)"},
	{"no worker is there", "start a worker, or look in its log why it does not register"},
	{"slots of tenant",
	 "nothing is wrong: other builds of the tenant have them; a larger 'slots' in tenants.conf is more"},
	{"show a client certificate", "set 'certificate' and 'certificate_key', or 'token_file'"},
	{"no tokens of users",
	 "set 'certificate' and 'certificate_key' instead, or ask the farm's operator to set 'users_jwks'"},
	{"the token", "ask for a new token: this one is not good, or not any more"},
	{"Connection refused", "nothing listens there: start it, or correct host and port (7420 is the scheduler's)"},
	{"No route to host", "the machine is off, or a firewall is in between"},
	{"Network is unreachable", "this machine has no network to it"},
	{"Name or service", "there is no machine of that name: correct the setting, or the name service"},
	{"does not speak TLS", "something else listens there: correct the port (7420 is the scheduler's, 7430 a worker's)"},
	{"does not speak HTTP/2",
	 "something else listens there: correct the port (7420 is the scheduler's, 7430 a worker's)"},
};

const char *doctor_fix_of(const char *what)
{
	for (size_t i = 0; i < COUNT_OF(fixes); i++)
		if (strstr(what, fixes[i].words))
			return fixes[i].fix;
	return "see that it runs and that this machine may connect to it: a firewall drops packets without a word";
}

// ---- what is set ---------------------------------------------------------------------------------------------------------

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
	if (isolation_of_name(text_of(d, SETTING_isolation)) < 0)
		found_problem(d, "farm", "set it to none, process, sandbox or microvm", "there is no isolation '%s'",
			      text_of(d, SETTING_isolation));
	return d->n_by_level[FINDING_PROBLEM] == before;
}

static void check_time(struct doctor *d, const char *path)
{
	struct err err = ERR_INIT;
	int64_t left_s = 0;
	const char *fix = "'coffer keys add' makes new certificates; see docs/operator.md";
	if (!path)
		return;
	if (keys_check_time(path, &left_s, &err) < 0)
		found_problem(d, "farm", fix, "%s", err.text);
	else if (left_s < SOON_S)
		found_warning(d, "farm", fix, "the certificate '%s' expires in %lld hours", path,
			      (long long)(left_s / 3600));
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
	check_time(d, own);
	check_time(d, ca);
	return tls;
}

static char *authorization(struct doctor *d)
{
	AUTO_BUF struct buf text = {.max = MAX_TOKEN + 1};
	struct err err = ERR_INIT;
	struct stat st;
	const char *path = text_of(d, SETTING_token_file);
	if (!*path)
		return NULL;
	if (file_read(AT_FDCWD, path, MAX_TOKEN, &text, &st, &err) < 0 || !text.len) {
		found_problem(d, "farm", "ask for a new token", "the token file '%s' can't be used: %s", path,
			      err.code ? err.text : "it is empty");
		return NULL;
	}
	if (st.st_mode & S_IROTH)
		found_warning(d, "farm", arena_printf(&d->arena, "chmod o-r '%s'", path),
			      "everybody on this machine can read the token in '%s'", path);
	text.data[strcspn(text.data, " \r\n")] = '\0';
	return arena_printf(&d->arena, "Bearer %s", text.data);
}

// ---- clocks --------------------------------------------------------------------------------------------------------------

void doctor_check_peer_clock(struct doctor *d, const char *whose, uint64_t theirs_ms, int64_t before_ms, int64_t after_ms)
{
	// What the answer took is not known to be on the one way or the other.
	int64_t skew = (int64_t)theirs_ms < before_ms  ? (int64_t)theirs_ms - before_ms
		       : (int64_t)theirs_ms > after_ms ? (int64_t)theirs_ms - after_ms
						       : 0;
	long long seconds = llabs(skew) / 1000;
	const char *fix = "set the clocks, best by NTP: 'timedatectl' on both machines";
	const char *way = skew < 0 ? "behind" : "ahead of";
	if (!theirs_ms || llabs(skew) < SKEW_MS) // 0: it is too old to say
		return;
	if (llabs(skew) > TOKEN_SKEW_MS)
		found_problem(
			d, "farm", fix,
			"the clock of %s is %lld s %s this machine's: certificates and tokens that are good will be refused",
			whose, seconds, way);
	else
		found_warning(d, "farm", fix, "the clock of %s is %lld s %s this machine's; at 30 s tokens are refused",
			      whose, seconds, way);
}

// ---- the scheduler -------------------------------------------------------------------------------------------------------

static bool is_avoided(char *const *avoid, size_t n, const char *worker)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(avoid[i], worker) == 0)
			return true;
	return false;
}

// One slot of one worker after the other, so that nobody's quota is used up by a question. False: there are no more.
static bool ask_for_route(struct doctor_peers *p, struct rpc_channel *channel, const char *auth, char **avoid, size_t *n)
{
	struct doctor *d = p->doctor;
	struct err err = ERR_INIT;
	enum rpc_code code;
	static char any[] = "host:any";
	Coffer__V1__RouteRequest q = COFFER__V1__ROUTE_REQUEST__INIT;
	Coffer__V1__RouteReply *reply = NULL;
	struct rpc_call_options options = {.deadline_ms = ANSWER_MS, .authorization = auth};
	q.tenant = (char *)(uintptr_t)text_of(d, SETTING_tenant);
	q.image = *text_of(d, SETTING_image) ? (char *)(uintptr_t)text_of(d, SETTING_image) : any;
	q.minimum_isolation = (Coffer__V1__Isolation)isolation_of_name(text_of(d, SETTING_isolation));
	q.slots = 1;
	q.avoid = avoid;
	q.n_avoid = *n;
	int64_t before = clock_now_ms();
	if (rpc_unary(channel, "/coffer.v1.Scheduler/Route", &options, &q.base, &coffer__v1__route_reply__descriptor, &reply,
		      &code, &err) < 0) {
		found_problem(d, "farm", doctor_fix_of(err.text), "the scheduler refuses us: %s", err.text);
		return false;
	}
	if (!*n)
		doctor_check_peer_clock(d, "the scheduler", reply->time_ms, before, clock_now_ms());
	if (!*n && !reply->n_routes)
		found_warning(d, "farm", doctor_fix_of(reply->reason), "the scheduler has no worker for us: %.200s",
			      reply->reason);
	bool is_new = reply->n_routes && !is_avoided(avoid, *n, reply->routes[0]->worker);
	if (is_new) {
		avoid[(*n)++] = arena_strdup(&d->arena, reply->routes[0]->worker);
		doctor_check_worker_of_farm(p, reply->routes[0]);
	}
	coffer__v1__route_reply__free_unpacked(reply, NULL);
	return is_new;
}

static void ask_scheduler(struct doctor_peers *p, const char *address, struct rpc_tls *tls)
{
	struct doctor *d = p->doctor;
	struct err err = ERR_INIT;
	struct rpc_channel *channel = NULL;
	char *avoid[MAX_WORKERS];
	size_t n = 0;
	if (rpc_connect(p->loop, address, &(struct rpc_channel_config){.tls = tls}, CONNECT_MS, &channel, &err) < 0) {
		found_problem(d, "farm", doctor_fix_of(err.text), "the scheduler '%s': %s", address, err.text);
		return;
	}
	found_ok(d, "farm", "the scheduler '%s' answers", address);
	const char *auth = authorization(d);
	while (n < MAX_WORKERS && ask_for_route(p, channel, auth, avoid, &n))
		;
	rpc_channel_release(channel);
}

static void ask_each(struct doctor_peers *p, const char *addresses, struct rpc_tls *tls)
{
	AUTO_FREE char *all = mem_strdup(addresses);
	char *save = NULL;
	for (char *w = strtok_r(all, " \t,", &save); w; w = strtok_r(NULL, " \t,", &save)) {
		static char nothing[] = "";
		Coffer__V1__Route here = COFFER__V1__ROUTE__INIT;
		here.worker = here.address = w;
		here.token = nothing;
		if (tls)
			ask_scheduler(p, w, tls);
		else if (value_is_of_this_machine(w))
			doctor_check_worker_of_farm(p, &here);
		else
			found_problem(p->doctor, "farm", "name a scheduler instead (setting 'scheduler')",
				      "the worker '%s' is on another machine: those are reached through a scheduler", w);
	}
}

static void check_cluster(struct doctor *d)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	const char *url = value_shown(&a, text_of(d, SETTING_cluster));
	struct cluster *c = NULL;
	struct err err = ERR_INIT;
	if (!*url)
		return;
	if (*text_of(d, SETTING_scheduler) || *text_of(d, SETTING_worker))
		found_problem(d, "cluster", "unset one of them",
			      "a cluster and a farm of coffer's own are set: neither is used");
	if (cluster_open(&d->config, &c, &err) < 0)
		found_problem(d, "cluster", "correct the settings that begin with cluster (docs/cluster.md)",
			      "the cluster '%s' is not used: %s", url, err.text);
	else if (cluster_check(c, clock_ms() + CLUSTER_MS, &err) < 0)
		found_problem(d, "cluster",
			      "correct the settings that begin with cluster, or ask who runs it (docs/cluster.md)",
			      "the cluster '%s' runs nothing for us: %s", url, err.text);
	else
		found_ok(d, "cluster", "the cluster '%s' answers and runs actions", url);
	cluster_close(c);
}

void doctor_check_farm(struct doctor *d)
{
	struct err err = ERR_INIT;
	struct doctor_peers p = {.doctor = d};
	struct rpc_tls *tls = NULL;
	if (d->has_config)
		check_cluster(d);
	if (!d->has_config || (!*text_of(d, SETTING_scheduler) && !*text_of(d, SETTING_worker)))
		return;
	const char *scheduler = text_or_null(d, SETTING_scheduler);
	if (scheduler && (!check_what_is_set(d) || !(tls = check_certificates(d))))
		return;
	if (rpc_tls_client(NULL, &p.pinned, &err) == 0 && loop_start(&p.loop, &err) == 0)
		ask_each(&p, scheduler ? scheduler : text_of(d, SETTING_worker), tls);
	else
		found_problem(d, "farm", "see docs/operator.md", "%s", err.text);
	doctor_peers_release(&p);
	rpc_tls_free(tls);
}
