// The parts of a store's URL: SCHEME:[//AUTHORITY]PATH[?NAME=VALUE&…]. Values are percent-decoded. Thread: any.
#ifndef COFFER_STORE_REMOTE_URL_H
#define COFFER_STORE_REMOTE_URL_H

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>

enum { URL_OPTIONS = 8 };

struct url {
	struct arena arena;
	const char *authority; // "" where there is none
	const char *path;      // with its '/', or ""
	struct {
		const char *name, *value;
	} options[URL_OPTIONS];
	unsigned n_options;
};

// `known` are the names that may stand behind the '?', up to NULL. ERR_USAGE.
int url_parse(const char *text, const char *const *known, struct url *u, struct err *err);
void url_release(struct url *u);
const char *url_option(const struct url *u, const char *name); // NULL: not given

#endif
