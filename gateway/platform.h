// What an action asks of the machine that it runs on. Thread: any.
#ifndef COFFER_GATEWAY_PLATFORM_H
#define COFFER_GATEWAY_PLATFORM_H

#include "auth/token.h"
#include "proto/reapi.pb-c.h"

struct platform_wish {
	char image[TOKEN_IMAGE_MAX + 1];
	int isolation; // the least
};
// `wish` has what goes where the action says nothing. ERR_USAGE: a property that no worker has, or an unknown one that is not among
// `ignored`.
int platform_read(const Reapi__Platform *platform, const char *const *ignored, struct platform_wish *wish, struct err *err);

#endif
