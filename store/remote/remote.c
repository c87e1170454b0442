#include "store/remote/remote.h"

#include "base/mem.h"
#include "store/remote/parts.h"

#include <ctype.h>

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

// "//user:secret@host": it would be seen in settings, arguments and messages.
static bool has_user(const char *url)
{
	const char *host = strstr(url, "://");
	if (!host)
		return false;
	host += 3;
	return memchr(host, '@', strcspn(host, "/?#")) != NULL;
}

static int check_text(const char *url, struct err *err)
{
	for (const char *p = url; *p; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p))
			return err_set(err, ERR_USAGE, "the URL of a store has no blanks");
	if (has_user(url))
		return err_set(err, ERR_USAGE,
			       "the URL of a store has no user or password: they belong in the file of credentials");
	return 0;
}

int remote_open(const struct remote_config *config, struct tier **out, struct err *err)
{
	static const struct {
		const char *begin;
		int (*open)(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);
	} kinds[] = {{"http://", web_open},       {"https://", web_open},    {"redis://", redis_open},
		     {"redis+unix:", redis_open}, {"rediss://", redis_open}, {"file:", folder_open},
		     {"s3://", s3_open},          {"grpcs://", reapi_open},  {"grpc://", reapi_open}};
	struct credentials c;
	const char *ca = config->ca && *config->ca ? config->ca : NULL;
	if (check_text(config->url, err) < 0)
		return -1;
	size_t i = 0;
	while (i < COUNT_OF(kinds) && !begins(config->url, kinds[i].begin))
		i++;
	if (i == COUNT_OF(kinds))
		return err_set(
			err, ERR_USAGE,
			"'%.60s' is no store: one begins with http://, https://, redis://, redis+unix:, s3://, grpcs://, "
			"grpc:// or file:",
			config->url);
	if (credentials_read(config->credentials, &c, err) < 0)
		return -1;
	int rc = kinds[i].open(config->url, ca, &c, out, err);
	credentials_release(&c);
	return rc;
}
