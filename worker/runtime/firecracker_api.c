#include "worker/runtime/firecracker_api.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct firecracker_api {
	CURL *curl;
	struct curl_slist *headers;
	struct firecracker_version version;
};

static size_t take_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
	struct buf *answer = ctx;
	buf_add(answer, bytes, size * n);
	return answer->over ? 0 : size * n;
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

// What is fixed for every request. A body has its length, never "chunked", which is not read; no "Expect: 100-continue".
static int set_up(struct firecracker_api *api, const char *socket)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_curl);
	api->curl = curl_easy_init();
	api->headers = curl_slist_append(NULL, "Content-Type: application/json");
	api->headers = api->headers ? curl_slist_append(api->headers, "Expect:") : NULL;
	if (!api->curl || !api->headers)
		return -1;
	curl_easy_setopt(api->curl, CURLOPT_UNIX_SOCKET_PATH, socket);
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, api->headers);
	curl_easy_setopt(api->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(api->curl, CURLOPT_TIMEOUT_MS, (long)FIRECRACKER_TIMEOUT_MS);
	curl_easy_setopt(api->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(api->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(api->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	return 0;
}

// Its words for what it refuses: {"fault_message": …}, or {"error": …} where the request itself is wrong.
static int refused(const char *method, const char *path, long status, const struct buf *answer, struct err *err)
{
	json_t *o = answer->len ? json_loadb(answer->data, answer->len, 0, NULL) : NULL;
	const char *why = json_string_value(json_object_get(o, "fault_message"));
	if (!why)
		why = json_string_value(json_object_get(o, "error"));
	err_set(err, ERR_USAGE, "Firecracker refuses %s %s (%ld): %.300s", method, path, status,
		why ? why : "it does not say why");
	json_decref(o);
	return -1;
}

static int request(struct firecracker_api *api, const char *method, const char *path, const char *body, struct buf *answer,
		   struct err *err)
{
	char url[256];
	long status = 0;
	CURL *c = api->curl;
	snprintf(url, sizeof url, "http://localhost%s", path);
	answer->max = FIRECRACKER_ANSWER_MAX;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, answer);
	if (body) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
	} else {
		curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	CURLcode rc = curl_easy_perform(c);
	if (rc != CURLE_OK)
		return err_set(err, ERR_PEER, "Firecracker does not answer %s %s: %s", method, path, curl_easy_strerror(rc));
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	return status == (body ? 204 : 200) ? 0 : refused(method, path, status, answer, err);
}

static int send_body(struct firecracker_api *api, const char *method, const char *path, json_t *body, struct err *err)
{
	AUTO_BUF struct buf answer = BUF_INIT;
	AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return err_set(err, ERR_FORMAT, "a request to Firecracker is no JSON");
	return request(api, method, path, text, &answer, err);
}

int firecracker_put(struct firecracker_api *api, const char *path, json_t *body, struct err *err)
{
	return send_body(api, "PUT", path, body, err);
}

int firecracker_patch(struct firecracker_api *api, const char *path, json_t *body, struct err *err)
{
	return send_body(api, "PATCH", path, body, err);
}

int firecracker_get(struct firecracker_api *api, const char *path, json_t **answer, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	if (request(api, "GET", path, NULL, &text, err) < 0)
		return -1;
	*answer = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	return *answer ? 0 : err_set(err, ERR_PEER, "Firecracker's answer to GET %s is no JSON", path);
}

static int read_version(struct firecracker_api *api, struct err *err)
{
	json_t *o;
	struct firecracker_version *v = &api->version;
	if (firecracker_get(api, "/version", &o, err) < 0)
		return -1;
	const char *text = json_string_value(json_object_get(o, "firecracker_version"));
	bool is_one = text && sscanf(text, "%4u.%4u.%4u", &v->major, &v->minor, &v->patch) == 3;
	json_decref(o);
	return is_one ? 0 : err_set(err, ERR_PEER, "Firecracker does not say its version");
}

int firecracker_api_open(const char *socket, int within_ms, struct firecracker_api **api, struct err *err)
{
	struct firecracker_api *a = mem_alloc(sizeof *a);
	struct err last = ERR_INIT;
	int64_t until = clock_ms() + within_ms;
	if (set_up(a, socket) < 0) {
		firecracker_api_close(a);
		return err_set(err, ERR_IO, "cannot set up libcurl");
	}
	// Its socket comes some milliseconds after its start.
	int rc;
	while ((rc = read_version(a, &last)) < 0 && last.code == ERR_PEER && clock_ms() < until)
		usleep(2000);
	if (rc < 0) {
		firecracker_api_close(a);
		return err_set(err, last.code == ERR_PEER ? ERR_TIMEOUT : last.code, "%s", last.text);
	}
	*api = a;
	return 0;
}

void firecracker_api_close(struct firecracker_api *api)
{
	if (!api)
		return;
	curl_easy_cleanup(api->curl);
	curl_slist_free_all(api->headers);
	free(api);
}

struct firecracker_version firecracker_api_version(const struct firecracker_api *api)
{
	return api->version;
}

bool firecracker_is_at_least(struct firecracker_version v, unsigned major, unsigned minor, unsigned patch)
{
	unsigned is[] = {v.major, v.minor, v.patch}, want[] = {major, minor, patch};
	for (int i = 0; i < 3; i++)
		if (is[i] != want[i])
			return is[i] > want[i];
	return true;
}
