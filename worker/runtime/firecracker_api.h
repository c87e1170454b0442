// The API of Firecracker (docs in its repository: src/firecracker/swagger/firecracker.yaml): HTTP/1.1 and JSON over a unix socket,
// one request at a time. What it refuses, it says in words (`fault_message`), which become the error's. It refuses fields
// that it does not know, so what is sent must be fit for its version. Thread: one.
#ifndef COFFER_WORKER_RUNTIME_FIRECRACKER_API_H
#define COFFER_WORKER_RUNTIME_FIRECRACKER_API_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { FIRECRACKER_TIMEOUT_MS = 60000, FIRECRACKER_ANSWER_MAX = 1 << 20 };

struct firecracker_api;
// Waits until the socket is there and answers, `within_ms` at most. ERR_TIMEOUT.
int firecracker_api_open(const char *socket, int within_ms, struct firecracker_api **api, struct err *err);
void firecracker_api_close(struct firecracker_api *api); // NULL is fine

struct firecracker_version {
	unsigned major, minor, patch;
};
// As GET /version has told when it was opened.
struct firecracker_version firecracker_api_version(const struct firecracker_api *api);
bool firecracker_is_at_least(struct firecracker_version v, unsigned major, unsigned minor, unsigned patch);

// Frees `body`. ERR_USAGE: it was refused; ERR_PEER: the monitor has gone, or does not speak its API.
int firecracker_put(struct firecracker_api *api, const char *path, json_t *body, struct err *err);
int firecracker_patch(struct firecracker_api *api, const char *path, json_t *body, struct err *err);
int firecracker_get(struct firecracker_api *api, const char *path, json_t **answer, struct err *err); // json_decref() it

#endif
