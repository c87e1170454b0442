// Inside of store/remote: one opener for each kind of tier. `url` is the whole of it; credentials are taken over on success.
#ifndef COFFER_STORE_REMOTE_PARTS_H
#define COFFER_STORE_REMOTE_PARTS_H

#include "settings/credentials.h"
#include "store/remote/remote.h"

int web_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);
int redis_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);
int s3_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);
int reapi_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);
int folder_open(const char *url, const char *ca, struct credentials *c, struct tier **out, struct err *err);

#endif
