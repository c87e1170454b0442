// `coffer token`: tokens by hand, for workers without a certificate and to look into.
#include "client/verbs/verbs.h"

#include "auth/token.h"
#include "base/file.h"
#include "base/value.h"

#include "proto/coffer.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
	"usage: coffer token issue --key FILE --worker NAME [--lifetime TIME] [--out FILE]\n"
	"       coffer token issue --key FILE --worker NAME --tenant NAME --image IMAGE [--isolation LEAST]\n"
	"                          [--slots N] [--lifetime TIME] [--out FILE]\n"
	"       coffer token inspect [--jwks FILE] [FILE]\n"
	"\n"
	"issue makes a token with which a worker may register at the scheduler, or with --tenant one with\n"
	"which a tenant may use one worker for one image, as the scheduler makes them. inspect shows what\n"
	"a token says, from FILE or standard input, and with --jwks whether it is good and why not.\n"
	"\n"
	"  --key FILE         the private key of the scheduler's tokens\n"
	"  --worker NAME      the worker\n"
	"  --tenant NAME      the tenant\n"
	"  --image IMAGE      \"sha256:...\" or \"host:...\"\n"
	"  --isolation LEAST  process, sandbox (the default) or microvm\n"
	"  --slots N          how many jobs at once (1)\n"
	"  --lifetime TIME    30d for a worker (at most 400d), 5m for a tenant (at most 1h)\n"
	"  --name ISSUER      the scheduler's name (coffer-scheduler)\n"
	"  --out FILE         write it there, readable only by you; a secret on a terminal stays in its scrollback\n"
	"  --jwks FILE        the public keys\n";

struct words {
	const char *key, *worker, *tenant, *image, *isolation, *slots, *lifetime, *name, *out, *jwks;
};
static struct words given;

static const struct {
	const char *name;
	const char **to;
} text_options[] = {{"key", &given.key},     {"worker", &given.worker}, {"tenant", &given.tenant},
		    {"image", &given.image}, {"slots", &given.slots},   {"isolation", &given.isolation},
		    {"name", &given.name},   {"out", &given.out},       {"lifetime", &given.lifetime},
		    {"jwks", &given.jwks}};

// ---- issue --------------------------------------------------------------------------------------------------------

static int copy_word(const char *what, const char *from, bool is_right, char *to, size_t room, struct err *err)
{
	if (!is_right)
		return err_set(err, ERR_USAGE, "'%.80s' is no %s", from, what);
	snprintf(to, room, "%s", from);
	return 0;
}

static int fill_route(struct token_claims *c, struct err *err)
{
	int64_t slots = 1;
	c->use = TOKEN_ROUTE;
	c->isolation = isolation_of_name(given.isolation ? given.isolation : "sandbox");
	if (c->isolation < COFFER__V1__ISOLATION__ISOLATION_PROCESS)
		return err_set(err, ERR_USAGE, "'%.80s' is no isolation", given.isolation);
	if (given.slots && (value_parse(VALUE_INTEGER, NULL, given.slots, &slots) || slots < 1 || slots > UINT32_MAX))
		return err_set(err, ERR_USAGE, "'%.80s' is no number of slots", given.slots);
	c->slots = (uint32_t)slots;
	if (!given.image)
		return err_set(err, ERR_USAGE, "--tenant needs --image");
	if (copy_word("tenant", given.tenant, token_is_name(given.tenant), c->tenant, sizeof c->tenant, err) < 0)
		return -1;
	return copy_word("image", given.image, token_is_image(given.image), c->image, sizeof c->image, err);
}

static int fill_claims(struct token_claims *c, struct err *err)
{
	const char *issuer = given.name ? given.name : "coffer-scheduler";
	c->use = TOKEN_REGISTER;
	if (!given.key || !given.worker)
		return err_set(err, ERR_USAGE, "--key and --worker are needed");
	if (!given.tenant && (given.image || given.isolation || given.slots))
		return err_set(err, ERR_USAGE, "--image, --isolation and --slots need --tenant");
	if (copy_word("worker", given.worker, token_is_name(given.worker), c->worker, sizeof c->worker, err) < 0 ||
	    copy_word("name", issuer, token_is_name(issuer), c->issuer, sizeof c->issuer, err) < 0 ||
	    (given.tenant && fill_route(c, err) < 0))
		return -1;
	bool is_route = c->use == TOKEN_ROUTE;
	int64_t lifetime_ms = 0, most_s = is_route ? TOKEN_ROUTE_MAX_S : TOKEN_REGISTER_MAX_S;
	const char *lifetime = given.lifetime ? given.lifetime : is_route ? "5m" : "30d";
	if (value_parse(VALUE_DURATION, NULL, lifetime, &lifetime_ms) || lifetime_ms < 1000 || lifetime_ms / 1000 > most_s)
		return err_set(err, ERR_USAGE, "'%.80s' is no lifetime: 1s to %s", lifetime, is_route ? "1h" : "400d");
	c->not_before = time(NULL);
	c->expires = c->not_before + lifetime_ms / 1000;
	return 0;
}

static int put_token(const char *token, struct err *err)
{
	if (!given.out) {
		puts(token);
		return 0;
	}
	AUTO_FREE char *line = mem_printf("%s\n", token);
	AUTO_CLOSE int fd = open(given.out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, "cannot make '%s'", given.out);
	return file_write_fd(fd, line, strlen(line), err);
}

static int issue(struct err *err)
{
	struct token_claims c = {0};
	struct token_signer *signer = NULL;
	AUTO_FREE char *token = NULL;
	if (fill_claims(&c, err) < 0 || token_signer_read(given.key, &signer, err) < 0)
		return -1;
	int rc = token_make(signer, &c, &token, err);
	token_signer_free(signer);
	return rc < 0 ? -1 : put_token(token, err);
}

// ---- inspect ------------------------------------------------------------------------------------------------------

static int read_token(const char *path, struct buf *text, struct err *err)
{
	text->max = (size_t)256 << 10;
	if ((path ? file_read(AT_FDCWD, path, TOKEN_MAX + 2, text, NULL, err)
		  : file_read_fd(STDIN_FILENO, TOKEN_MAX + 2, text, err)) < 0)
		return -1;
	while (text->len && strchr(" \t\r\n", text->data[text->len - 1]))
		text->data[--text->len] = '\0';
	return text->len ? 0 : err_set(err, ERR_FORMAT, "there is no token");
}

// Whether it would be taken now by whoever it is for.
static int judge(const char *text, struct err *err)
{
	struct jwks keys;
	struct token_claims c;
	if (jwks_read(given.jwks, &keys, err) < 0)
		return -1;
	struct token_expected route = {.use = TOKEN_ROUTE, .isolation = COFFER__V1__ISOLATION__ISOLATION_MICROVM};
	route.now = time(NULL);
	struct token_expected registers = {.use = TOKEN_REGISTER, .now = route.now};
	// A route's has the worker as its audience; whichever it is, it is asked for that one.
	AUTO_FREE char *worker = token_audience(text);
	route.worker = worker ? worker : "";
	int rc = token_check(&keys, text, &registers, &c, err);
	if (rc < 0 && token_check(&keys, text, &route, &c, err) == 0)
		rc = 0;
	jwks_release(&keys);
	if (rc == 0)
		printf("good: %s\n", c.use == TOKEN_ROUTE ? "a tenant's, for one worker" : "a worker's, to register");
	return rc;
}

static int inspect(const char *path, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (read_token(path, &text, err) < 0)
		return -1;
	AUTO_FREE char *shown = token_show(text.data);
	if (!shown)
		return err_set(err, ERR_FORMAT, "this is no token: not three parts of base64url with JSON in them");
	puts(shown);
	return given.jwks ? judge(text.data, err) : 0;
}

static bool parse_words(int argc, char **argv, int *status)
{
	struct option options[COUNT_OF(text_options) + 2] = {{"help", no_argument, NULL, 'h'}};
	for (size_t i = 0; i < COUNT_OF(text_options); i++)
		options[i + 1] = (struct option){text_options[i].name, required_argument, NULL, (int)i};
	opterr = 0;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		if (c == 'h') {
			fputs(usage, stdout);
			*status = 0;
			return false;
		}
		if (c == '?' || c == ':') {
			*status = c == ':' ? verb_wrong("token", "the option '%s' needs a value", argv[optind - 1])
					   : verb_wrong_option("token", argv[optind - 1], options);
			return false;
		}
		*text_options[c].to = optarg;
	}
	return true;
}

int verb_token(int argc, char **argv)
{
	struct err err = ERR_INIT;
	int status = 0;
	given = (struct words){0};
	if (!parse_words(argc, argv, &status))
		return status;
	int n = argc - optind;
	const char *what = n ? argv[optind] : "";
	bool is_issue = strcmp(what, "issue") == 0;
	if (!is_issue && strcmp(what, "inspect") != 0)
		return verb_wrong_word("token", n ? what : NULL, (const char *const[]){"issue", "inspect"}, 2);
	if (n > (is_issue ? 1 : 2))
		return verb_wrong("token", "unexpected word '%s'", argv[optind + (is_issue ? 1 : 2)]);
	int rc = is_issue ? issue(&err) : inspect(n > 1 ? argv[optind + 1] : NULL, &err);
	if (rc < 0 && err.code == ERR_USAGE)
		return verb_wrong("token", "%s", err.text);
	return rc < 0 ? verb_fail(&err) : 0;
}
