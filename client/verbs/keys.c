// `coffer keys`: what a small site needs of keys, certificates and first files, in one command.
#include "client/verbs/verbs.h"

#include "auth/keys.h"
#include "auth/token.h"
#include "base/file.h"
#include "base/path.h"
#include "base/value.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer keys init FOLDER [--scheduler HOST] [--worker NAME[=HOST]]... [--tenant NAME]...\n"
	"                        [--days N]\n"
	"       coffer keys add FOLDER [--worker NAME[=HOST]]... [--tenant NAME]... [--days N]\n"
	"       coffer keys rotate FOLDER\n"
	"\n"
	"init makes, in a new folder that only you can read: a certificate authority; certificates of the\n"
	"scheduler (on localhost), of a worker (w1, beside it) and of a tenant (your login name); the key\n"
	"that signs tokens, and its public half, jwks.json; and files for scheduler, workers and users to\n"
	"start with. add makes certificates for more workers and tenants.\n"
	"rotate changes the key of the tokens, in two steps, and says what to do between them.\n"
	"\n"
	"  --scheduler HOST      name or address under which clients and workers reach the scheduler\n"
	"  --worker NAME[=HOST]  a worker, and the name or address under which clients reach it\n"
	"  --tenant NAME         a tenant\n"
	"  --days N              how long certificates are good (825; the authority's ten times as long)\n";

enum { MAX_PARTS = 64, MAX_DAYS = 3650, SCHEDULER_PORT = 7420, WORKER_PORT = 7430, PORT_STEP = 10, MAX_FILE = 1 << 20 };

struct site {
	struct arena arena;
	const char *dir;
	const char *scheduler; // host
	const char *workers[MAX_PARTS], *tenants[MAX_PARTS];
	size_t n_workers, n_tenants;
	int days;
	EVP_PKEY *ca_key;
	X509 *ca;
};

static const char *in_site(struct site *s, const char *name)
{
	return path_join(&s->arena, s->dir, name);
}

static const char *of_part(struct site *s, const char *kind, const char *name, const char *ending)
{
	return in_site(s, arena_printf(&s->arena, "%s-%s%s", kind, name, ending));
}

// NAME of NAME=HOST, and HOST, or NULL.
static const char *split_worker(struct site *s, const char *word, const char **host)
{
	const char *equals = strchr(word, '=');
	*host = equals ? equals + 1 : NULL;
	return equals ? arena_strndup(&s->arena, word, (size_t)(equals - word)) : word;
}

// ---- files --------------------------------------------------------------------------------------------------------

static int write_file(struct site *s, const char *name, mode_t mode, const char *text, struct err *err)
{
	const char *path = in_site(s, name);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_errno(err, "cannot make '%s'", path);
	return file_write_fd(fd, text, strlen(text), err);
}

static int make_pair(struct site *s, const struct keys_plan *plan, const char *certificate, const char *key_path,
		     struct err *err)
{
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	int rc = -1;
	if (keys_generate(&key, err) == 0 && keys_make_certificate(plan, key, &x, err) == 0 &&
	    keys_write_private(key_path, key, err) == 0 && keys_write_certificate(certificate, x, err) == 0)
		rc = 0;
	if (rc == 0 && plan->role == KEYS_CA) {
		s->ca_key = TAKE(key);
		s->ca = TAKE(x);
	}
	EVP_PKEY_free(key);
	X509_free(x);
	return rc;
}

static int make_leaf(struct site *s, enum keys_role role, const char *kind, const char *name, const char *const *names,
		     size_t n_names, struct err *err)
{
	struct keys_plan plan = {role, *name ? name : kind, names, n_names, s->days, s->ca, s->ca_key};
	if (!*name)
		return make_pair(s, &plan, in_site(s, arena_printf(&s->arena, "%s.pem", kind)),
				 in_site(s, arena_printf(&s->arena, "%s-key.pem", kind)), err);
	return make_pair(s, &plan, of_part(s, kind, name, ".pem"), of_part(s, kind, name, "-key.pem"), err);
}

// ---- the parts ----------------------------------------------------------------------------------------------------

static int make_authority(struct site *s, struct err *err)
{
	struct keys_plan plan = {.role = KEYS_CA, .common_name = "coffer farm", .days = 10 * s->days};
	return make_pair(s, &plan, in_site(s, "ca.pem"), in_site(s, "ca-key.pem"), err);
}

static const char *host_name(struct site *s, const char *host)
{
	AUTO_FREE char *name = keys_host_name(host);
	return arena_strdup(&s->arena, name);
}

static int make_scheduler(struct site *s, struct err *err)
{
	const char *names[] = {host_name(s, s->scheduler), "DNS:localhost", "IP:127.0.0.1", "IP:::1"};
	if (make_leaf(s, KEYS_SERVER, "scheduler", "", names, COUNT_OF(names), err) < 0)
		return -1;
	bool is_here = strcmp(s->scheduler, "localhost") == 0;
	return write_file(
		s, "scheduler.conf", 0644,
		arena_printf(&s->arena,
			     "# coffer-scheduler(8) says what there is to set. Names of files begin in this folder.\n"
			     "listen = %s:%d\n"
			     "certificate = scheduler.pem\n"
			     "key = scheduler-key.pem\n"
			     "client_ca = ca.pem\n"
			     "tenants = tenants.conf\n"
			     "token_key = token-key.pem\n"
			     "token_jwks = jwks.json\n",
			     is_here ? "127.0.0.1" : "[::]", SCHEDULER_PORT),
		err);
}

// The port of a worker in its file, if it is on that host; else 0.
static int port_in(struct site *s, const char *file, const char *host)
{
	AUTO_BUF struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	int port = 0;
	if (file_read(AT_FDCWD, in_site(s, file), MAX_FILE, &text, NULL, &ignored) < 0 || !text.len)
		return 0;
	const char *line = arena_printf(&s->arena, "\naddress = %s:", host), *at = strstr(text.data, line);
	return at && sscanf(at + strlen(line), "%d", &port) == 1 ? port : 0;
}

// Of a worker on that host: past those of the workers there, each of which has one more for its operator.
static int next_port(struct site *s, const char *host)
{
	int port = WORKER_PORT;
	DIR *d = opendir(s->dir);
	for (const struct dirent *e; d && (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		int used = strncmp(e->d_name, "worker-", 7) == 0 && n > 5 && strcmp(e->d_name + n - 5, ".conf") == 0
				   ? port_in(s, e->d_name, host)
				   : 0;
		port = used >= port ? used + PORT_STEP : port;
	}
	if (d)
		closedir(d);
	return port;
}

static int make_worker(struct site *s, const char *word, struct err *err)
{
	const char *host, *name = split_worker(s, word, &host);
	const char *at = host ? host : s->scheduler;
	const char *names[] = {arena_printf(&s->arena, "URI:coffer://worker/%s", name), host_name(s, at)};
	if (make_leaf(s, KEYS_PEER, "worker", name, names, COUNT_OF(names), err) < 0)
		return -1;
	bool is_here = strcmp(at, "localhost") == 0;
	int port = next_port(s, at);
	// The second one on a machine needs ports and a folder of its own.
	const char *own = port == WORKER_PORT ? ""
					      : arena_printf(&s->arena, "admin = 127.0.0.1:%d\nfolder = worker-%s.data\n",
							     port + 1, name);
	return write_file(s, arena_printf(&s->arena, "worker-%s.conf", name), 0644,
			  arena_printf(&s->arena,
				       "# coffer-worker(8) says what there is to set. Names of files begin in this folder.\n"
				       "name = %s\n"
				       "scheduler = %s:%d\n"
				       "listen = %s:%d\n"
				       "address = %s:%d\n"
				       "certificate = worker-%s.pem\n"
				       "key = worker-%s-key.pem\n"
				       "ca = ca.pem\n"
				       "token_jwks = jwks.json\n"
				       "%s",
				       name, s->scheduler, SCHEDULER_PORT, is_here ? "127.0.0.1" : "[::]", port, at, port,
				       name, name, own),
			  err);
}

static int make_tenant(struct site *s, const char *name, struct err *err)
{
	const char *names[] = {arena_printf(&s->arena, "URI:coffer://tenant/%s", name)};
	if (make_leaf(s, KEYS_CLIENT, "tenant", name, names, COUNT_OF(names), err) < 0)
		return -1;
	return write_file(s, arena_printf(&s->arena, "tenant-%s.conf", name), 0644,
			  arena_printf(&s->arena,
				       "# For a user's coffer.conf(5).\n"
				       "scheduler = %s:%d\n"
				       "certificate = %s\n"
				       "certificate_key = %s\n"
				       "scheduler_ca = %s\n",
				       s->scheduler, SCHEDULER_PORT, of_part(s, "tenant", name, ".pem"),
				       of_part(s, "tenant", name, "-key.pem"), in_site(s, "ca.pem")),
			  err);
}

static void add_tenant_lines(struct site *s, struct buf *b)
{
	for (size_t i = 0; i < s->n_tenants; i++)
		buf_addf(b,
			 "\n[tenant %s]\nslots = 500\nisolation = sandbox\nimage = *\n"
			 "certificate = URI:coffer://tenant/%s\n",
			 s->tenants[i], s->tenants[i]);
}

static int make_tenants_file(struct site *s, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_adds(&b, "# Who may use the farm: coffer-tenants(5). The scheduler reads it again at SIGHUP.\n\n"
		     "[workers]\ncertificate = URI:coffer://worker/{name}\n");
	add_tenant_lines(s, &b);
	return write_file(s, "tenants.conf", 0644, b.data, err);
}

// ---- the tokens' key ----------------------------------------------------------------------------------------------

// jwks.json out of the keys of these files, the first one first. Replaces what is there as a whole.
static int write_jwks(struct site *s, EVP_PKEY *const *keys, size_t n, struct err *err)
{
	AUTO_BUF struct buf b = BUF_INIT;
	buf_adds(&b, "{\"keys\": [\n");
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? ",\n" : "");
		if (jwk_write(keys[i], &b, err) < 0)
			return -1;
	}
	buf_adds(&b, "\n]}\n");
	return file_write_atomic(AT_FDCWD, in_site(s, "jwks.json"), b.data, b.len, 0644, err);
}

static int make_token_key(struct site *s, struct err *err)
{
	EVP_PKEY *key = NULL;
	int rc = -1;
	if (keys_generate(&key, err) == 0 && keys_write_private(in_site(s, "token-key.pem"), key, err) == 0)
		rc = write_jwks(s, &key, 1, err);
	EVP_PKEY_free(key);
	return rc;
}

static int rotate_begin(struct site *s, const char *next_path, struct err *err)
{
	EVP_PKEY *keys[2] = {NULL, NULL};
	int rc = -1;
	if (keys_read_private(in_site(s, "token-key.pem"), &keys[0], err) == 0 && keys_generate(&keys[1], err) == 0 &&
	    keys_write_private(next_path, keys[1], err) == 0)
		rc = write_jwks(s, keys, 2, err);
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
	if (rc == 0)
		printf("%s has the present key and the next one now; tokens are still signed with the present one.\n"
		       "1. give this file to scheduler and workers, and let them read it: kill -HUP, or\n"
		       "   systemctl reload coffer-scheduler coffer-worker\n"
		       "2. coffer keys rotate %s\n",
		       in_site(s, "jwks.json"), s->dir);
	return rc;
}

static int rotate_end(struct site *s, const char *next_path, struct err *err)
{
	const char *path = in_site(s, "token-key.pem");
	if (rename(next_path, path) < 0)
		return err_errno(err, "cannot rename '%s' to '%s'", next_path, path);
	printf("%s is the new key. jwks.json still has the old one, so that tokens made with it are good until they end.\n"
	       "1. let the scheduler read it: kill -HUP, or systemctl restart coffer-scheduler, as its unit keeps a copy\n"
	       "2. make new tokens for workers that have no certificate: coffer token issue --key %s --worker NAME\n",
	       path, path);
	return 0;
}

static int rotate(struct site *s, struct err *err)
{
	const char *next_path = in_site(s, "token-key-next.pem");
	return access(next_path, F_OK) < 0 ? rotate_begin(s, next_path, err) : rotate_end(s, next_path, err);
}

// ---- init, add ----------------------------------------------------------------------------------------------------

static int make_parts(struct site *s, struct err *err)
{
	for (size_t i = 0; i < s->n_workers; i++)
		if (make_worker(s, s->workers[i], err) < 0)
			return -1;
	for (size_t i = 0; i < s->n_tenants; i++)
		if (make_tenant(s, s->tenants[i], err) < 0)
			return -1;
	return 0;
}

static const char *login_name(void)
{
	const char *name = getenv("USER");
	if (name && token_is_name(name))
		return name;
	const struct passwd *user = getpwuid(getuid()); // as under cron or in a container, where USER is not set
	return user && token_is_name(user->pw_name) ? user->pw_name : "me";
}

static void print_next(struct site *s)
{
	const char *host;
	printf("made in %s: keys, certificates and first files of a farm. What to run, each on its machine:\n\n"
	       "  coffer scheduler --config %s\n",
	       s->dir, in_site(s, "scheduler.conf"));
	for (size_t i = 0; i < s->n_workers; i++)
		printf("  coffer worker --config %s\n",
		       of_part(s, "worker", split_worker(s, s->workers[i], &host), ".conf"));
	for (size_t i = 0; i < s->n_tenants; i++)
		printf("  COFFER_CONFIG=%s coffer make\n", of_part(s, "tenant", s->tenants[i], ".conf"));
	printf("\nWho may use what is in %s. Keep %s to yourself: with it anybody can make certificates.\n",
	       in_site(s, "tenants.conf"), in_site(s, "ca-key.pem"));
}

static int init(struct site *s, struct err *err)
{
	static const char first_worker[] = "w1", here[] = "localhost";
	if (!s->scheduler)
		s->scheduler = here;
	if (!s->n_workers)
		s->workers[s->n_workers++] = first_worker;
	if (!s->n_tenants)
		s->tenants[s->n_tenants++] = login_name();
	// A directory that is there and holds something is somebody's: its mode is not changed.
	if (mkdir(s->dir, 0700) < 0 && (errno != EEXIST || rmdir(s->dir) < 0 || mkdir(s->dir, 0700) < 0))
		return errno == ENOTEMPTY || errno == EEXIST
			       ? err_set(err, ERR_ACCESS,
					 "there is something in the folder '%s' already; 'coffer keys add' adds workers and "
					 "tenants to a farm",
					 s->dir)
			       : err_errno(err, "cannot make the folder '%s'", s->dir);
	if (make_authority(s, err) < 0 || make_scheduler(s, err) < 0 || make_token_key(s, err) < 0 ||
	    make_tenants_file(s, err) < 0 || make_parts(s, err) < 0)
		return -1;
	print_next(s);
	return 0;
}

static void print_next_of_added(struct site *s)
{
	const char *host;
	for (size_t i = 0; i < s->n_workers; i++) {
		const char *name = split_worker(s, s->workers[i], &host);
		printf("worker %s, on its machine:\n  coffer worker --config %s\nor, with systemd and ssh, from here:\n"
		       "  coffer farm add %s --site %s --name %s\n",
		       name, of_part(s, "worker", name, ".conf"), host ? host : s->scheduler, s->dir, name);
	}
	for (size_t i = 0; i < s->n_tenants; i++)
		printf("users of tenant %s, once the lines below are in tenants.conf:\n  COFFER_CONFIG=%s coffer make\n",
		       s->tenants[i], of_part(s, "tenant", s->tenants[i], ".conf"));
}

// The host that init was told: the first name in the scheduler's certificate.
static int find_scheduler(struct site *s, struct err *err)
{
	X509 *x = NULL;
	if (keys_read_certificate(in_site(s, "scheduler.pem"), &x, err) < 0)
		return -1;
	AUTO_FREE char *host = keys_first_host(x);
	X509_free(x);
	if (!host)
		return err_set(err, ERR_FORMAT, "'%s' names no host; say --scheduler HOST", in_site(s, "scheduler.pem"));
	s->scheduler = arena_strdup(&s->arena, host);
	return 0;
}

static int add(struct site *s, struct err *err)
{
	if (!s->n_workers && !s->n_tenants)
		return err_set(err, ERR_USAGE, "--worker or --tenant is needed");
	if (access(in_site(s, "ca-key.pem"), F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND,
			       "'%s' is not the folder of a farm with its ca-key.pem; 'coffer keys init' makes one", s->dir);
	if (keys_read_private(in_site(s, "ca-key.pem"), &s->ca_key, err) < 0 ||
	    keys_read_certificate(in_site(s, "ca.pem"), &s->ca, err) < 0 || (!s->scheduler && find_scheduler(s, err) < 0) ||
	    make_parts(s, err) < 0)
		return -1;
	print_next_of_added(s);
	if (s->n_tenants) {
		AUTO_BUF struct buf b = BUF_INIT;
		add_tenant_lines(s, &b);
		printf("for %s, which the scheduler reads again at SIGHUP:\n%s", in_site(s, "tenants.conf"), b.data);
	}
	return 0;
}

// ---- words --------------------------------------------------------------------------------------------------------

static bool is_host(const char *text)
{
	return value_is_name(text, 253, ".-:");
}

// "w1.example.org:7430", "[::1]:7430". An address of IPv6 has more than one ':'.
static bool has_port(const char *text)
{
	const char *colon = strchr(text, ':');
	return text[0] == '[' || (colon && !strchr(colon + 1, ':'));
}

static int check_host(const char *text, const char *what, struct err *err)
{
	if (has_port(text))
		return err_set(
			err, ERR_USAGE,
			"'%.80s' has a port or brackets; a host alone is wanted, and ports are lines in the files made",
			text);
	return is_host(text) ? 0 : err_set(err, ERR_USAGE, "'%.80s' is no %s", text, what);
}

static int check_words(struct site *s, struct err *err)
{
	if (s->scheduler && check_host(s->scheduler, "host", err) < 0)
		return -1;
	for (size_t i = 0; i < s->n_workers; i++) {
		const char *host, *name = split_worker(s, s->workers[i], &host);
		if (host && check_host(host, "host", err) < 0)
			return -1;
		if (!token_is_name(name))
			return err_set(err, ERR_USAGE, "'%.80s' is no NAME[=HOST]", s->workers[i]);
	}
	for (size_t i = 0; i < s->n_tenants; i++)
		if (!token_is_name(s->tenants[i]))
			return err_set(err, ERR_USAGE, "'%.80s' is no name of a tenant", s->tenants[i]);
	return 0;
}

static int take_option(struct site *s, int c, const char *word, struct err *err)
{
	int64_t days;
	if (c == 's')
		s->scheduler = word;
	else if ((c == 'w' && s->n_workers == MAX_PARTS) || (c == 't' && s->n_tenants == MAX_PARTS))
		return err_set(err, ERR_USAGE, "more than %d at once", MAX_PARTS);
	else if (c == 'w')
		s->workers[s->n_workers++] = word;
	else if (c == 't')
		s->tenants[s->n_tenants++] = word;
	else if (value_parse(VALUE_INTEGER, NULL, word, &days) || days < 1 || days > MAX_DAYS)
		return err_set(err, ERR_USAGE, "'%.80s' is no number of days: 1 to %d", word, MAX_DAYS);
	else
		s->days = (int)days;
	return 0;
}

static bool parse_words(struct site *s, int argc, char **argv, int *status)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},         {"scheduler", required_argument, NULL, 's'},
		{"worker", required_argument, NULL, 'w'}, {"tenant", required_argument, NULL, 't'},
		{"days", required_argument, NULL, 'd'},   {0}};
	struct err err = ERR_INIT;
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		if (c == 'h') {
			fputs(usage, stdout);
			*status = 0;
			return false;
		}
		if (c == '?' || c == ':') {
			*status = c == ':' ? verb_wrong("keys", "the option '%s' needs a value", argv[optind - 1])
					   : verb_wrong_option("keys", argv[optind - 1], options);
			return false;
		}
		if (take_option(s, c, optarg, &err) < 0) {
			*status = verb_wrong("keys", "%s", err.text);
			return false;
		}
	}
	return true;
}

static const struct {
	const char *word;
	int (*run)(struct site *s, struct err *err);
} actions[] = {{"init", init}, {"add", add}, {"rotate", rotate}};

static int run(struct site *s, int n, char **words)
{
	static const char *const known[] = {"init", "add", "rotate"};
	struct err err = ERR_INIT;
	size_t which = 0;
	while (n && which < COUNT_OF(actions) && strcmp(actions[which].word, words[0]) != 0)
		which++;
	if (which == COUNT_OF(actions) || !n)
		return verb_wrong_word("keys", n ? words[0] : NULL, known, COUNT_OF(known));
	if (n < 2)
		return verb_wrong("keys", "the folder is missing: 'coffer keys %s FOLDER'", words[0]);
	if (n > 2)
		return verb_wrong("keys", "unexpected word '%s'", words[2]);
	AUTO_FREE char *cwd = getcwd(NULL, 0);
	s->dir = path_tidy(&s->arena, path_join(&s->arena, cwd ? cwd : "/", words[1]));
	int rc = check_words(s, &err);
	if (rc == 0)
		rc = actions[which].run(s, &err);
	if (rc < 0)
		return err.code == ERR_USAGE ? verb_wrong("keys", "%s", err.text) : verb_fail(&err);
	return 0;
}

int verb_keys(int argc, char **argv)
{
	int status = 0;
	struct site s = {.days = 825};
	if (parse_words(&s, argc, argv, &status))
		status = run(&s, argc - optind, argv + optind);
	EVP_PKEY_free(s.ca_key);
	X509_free(s.ca);
	arena_release(&s.arena);
	return status;
}
