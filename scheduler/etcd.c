#include "scheduler/etcd.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/etcd.pb-c.h"
#include "remote/net/target.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PASSWORD_MAX = 1024 };

struct etcd {
	struct etcd_config config;
	struct rpc_channel *channel;
	struct rpc_call *keep_alive, *watch; // streams, once they are needed
	char *token;                         // of Authenticate, or NULL
	int64_t lease, revision;             // what was read was of this revision
};

static ProtobufCBinaryData bytes_of(const void *p, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

// ---- calls ----------------------------------------------------------------------------------------------------------

static struct rpc_call_options options_of(const struct etcd *e, uint32_t deadline_ms, struct rpc_metadata *token)
{
	*token = (struct rpc_metadata){"token", e->token};
	return (struct rpc_call_options){.deadline_ms = deadline_ms, .metadata = token, .n_metadata = e->token ? 1 : 0};
}

static int call(struct etcd *e, const char *path, const ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *descriptor, void *reply, struct err *err)
{
	struct rpc_metadata token;
	struct rpc_call_options options = options_of(e, ETCD_CALL_MS, &token);
	return rpc_unary(e->channel, path, &options, request, descriptor, reply, NULL, err);
}

static int start(struct etcd *e, const char *path, struct rpc_call **stream, struct err *err)
{
	struct rpc_metadata token;
	struct rpc_call_options options = options_of(e, 0, &token);
	return *stream ? 0 : rpc_call_start(e->channel, path, &options, stream, err);
}

// A stream that ends has no news any more.
static int end_of(struct err *err)
{
	return err_set(err, ERR_PEER, "etcd has ended a call");
}

// ---- opening and closing --------------------------------------------------------------------------------------------

static int authenticate(struct etcd *e, struct err *err)
{
	AUTO_BUF struct buf password = {.max = PASSWORD_MAX};
	Etcd__AuthenticateRequest request = ETCD__AUTHENTICATE_REQUEST__INIT;
	Etcd__AuthenticateResponse *reply;
	if (!*e->config.user)
		return 0;
	if (file_read(AT_FDCWD, e->config.password_file, PASSWORD_MAX, &password, NULL, err) < 0)
		return -1;
	buf_addc(&password, '\0');
	password.data[strcspn(password.data, "\r\n")] = '\0';
	request.name = (char *)(uintptr_t)e->config.user;
	request.password = password.data;
	int rc = call(e, "/etcdserverpb.Auth/Authenticate", &request.base, &etcd__authenticate_response__descriptor, &reply,
		      err);
	explicit_bzero(password.data, password.len);
	if (rc < 0)
		return err_wrap(err, "etcd does not let the user '%s' in (etcd_user, etcd_password_file)", e->config.user);
	e->token = mem_strdup(reply->token);
	etcd__authenticate_response__free_unpacked(reply, NULL);
	return 0;
}

static int take_lease(struct etcd *e, int lease_s, struct err *err)
{
	Etcd__LeaseGrantRequest request = ETCD__LEASE_GRANT_REQUEST__INIT;
	Etcd__LeaseGrantResponse *reply;
	request.ttl = lease_s;
	if (call(e, "/etcdserverpb.Lease/LeaseGrant", &request.base, &etcd__lease_grant_response__descriptor, &reply, err) <
	    0)
		return -1;
	e->lease = reply->id;
	int rc = e->lease ? 0 : err_set(err, ERR_PEER, "etcd gives no lease: %.200s", reply->error);
	etcd__lease_grant_response__free_unpacked(reply, NULL);
	return rc;
}

int etcd_open(const struct etcd_config *config, int lease_s, struct etcd **out, struct err *err)
{
	struct etcd *e = mem_alloc(sizeof *e);
	e->config = *config;
	*out = NULL;
	if (rpc_target_channel(config->target, ETCD_CALL_MS, &e->channel, err) < 0 || authenticate(e, err) < 0 ||
	    take_lease(e, lease_s, err) < 0) {
		etcd_close(e);
		return -1;
	}
	*out = e;
	return 0;
}

static void give_lease_back(struct etcd *e)
{
	Etcd__LeaseRevokeRequest request = ETCD__LEASE_REVOKE_REQUEST__INIT;
	Etcd__LeaseRevokeResponse *reply;
	request.id = e->lease;
	if (e->lease && rpc_channel_is_usable(e->channel) &&
	    call(e, "/etcdserverpb.Lease/LeaseRevoke", &request.base, &etcd__lease_revoke_response__descriptor, &reply,
		 NULL) == 0)
		etcd__lease_revoke_response__free_unpacked(reply, NULL);
}

void etcd_close(struct etcd *e)
{
	if (!e)
		return;
	give_lease_back(e);
	if (e->watch)
		rpc_call_release(e->watch);
	if (e->keep_alive)
		rpc_call_release(e->keep_alive);
	if (e->channel)
		rpc_channel_release(e->channel);
	if (e->token)
		explicit_bzero(e->token, strlen(e->token));
	free(e->token);
	free(e);
}

int etcd_keep_lease(struct etcd *e, struct err *err)
{
	Etcd__LeaseKeepAliveRequest request = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
	Etcd__LeaseKeepAliveResponse *reply;
	request.id = e->lease;
	if (start(e, "/etcdserverpb.Lease/LeaseKeepAlive", &e->keep_alive, err) < 0 ||
	    rpc_send(e->keep_alive, &request.base, err) < 0)
		return -1;
	int rc = rpc_receive(e->keep_alive, &etcd__lease_keep_alive_response__descriptor, ETCD_CALL_MS, &reply, err);
	if (rc <= 0)
		return rc == 0 ? end_of(err) : -1;
	bool is_there = reply->ttl > 0;
	etcd__lease_keep_alive_response__free_unpacked(reply, NULL);
	return is_there ? 0 : err_set(err, ERR_NOT_FOUND, "etcd has ended the lease: it has not heard of us for too long");
}

// ---- keys -----------------------------------------------------------------------------------------------------------

int etcd_put(struct etcd *e, const char *name, const void *value, size_t n, struct err *err)
{
	AUTO_FREE char *key = mem_printf("%s%s", e->config.prefix, name);
	Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
	Etcd__PutResponse *reply;
	request.key = bytes_of(key, strlen(key));
	request.value = bytes_of(value, n);
	request.lease = e->lease;
	if (call(e, "/etcdserverpb.KV/Put", &request.base, &etcd__put_response__descriptor, &reply, err) < 0)
		return -1;
	etcd__put_response__free_unpacked(reply, NULL);
	return 0;
}

int etcd_remove_own(struct etcd *e, const char *name, struct err *err)
{
	AUTO_FREE char *key = mem_printf("%s%s", e->config.prefix, name);
	Etcd__Compare is_ours = ETCD__COMPARE__INIT, *compare[] = {&is_ours};
	Etcd__DeleteRangeRequest gone = ETCD__DELETE_RANGE_REQUEST__INIT;
	Etcd__RequestOp op = ETCD__REQUEST_OP__INIT, *success[] = {&op};
	Etcd__TxnRequest request = ETCD__TXN_REQUEST__INIT;
	Etcd__TxnResponse *reply;
	is_ours.target = ETCD__COMPARE__TARGET__LEASE;
	is_ours.key = gone.key = bytes_of(key, strlen(key));
	is_ours.target_union_case = ETCD__COMPARE__TARGET_UNION_LEASE;
	is_ours.lease = e->lease;
	op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
	op.request_delete_range = &gone;
	request.compare = compare;
	request.success = success;
	request.n_compare = request.n_success = 1;
	if (call(e, "/etcdserverpb.KV/Txn", &request.base, &etcd__txn_response__descriptor, &reply, err) < 0)
		return -1;
	etcd__txn_response__free_unpacked(reply, NULL);
	return 0;
}

// The key behind all that begin with the prefix: its last byte is one more.
static char *end_of_prefix(const struct etcd *e)
{
	char *end = mem_strdup(e->config.prefix);
	end[strlen(end) - 1]++;
	return end;
}

static void tell(const struct etcd *e, const Etcd__KeyValue *kv, bool is_gone, etcd_news news, void *ctx)
{
	size_t n = strlen(e->config.prefix);
	if (!kv || kv->key.len < n || kv->key.len > ETCD_MAX_KEY || memcmp(kv->key.data, e->config.prefix, n) != 0)
		return;
	static const char nothing[1] = "";
	const void *value = kv->value.len ? (const void *)kv->value.data : nothing;
	news(ctx, (const char *)kv->key.data + n, kv->key.len - n, is_gone ? NULL : value, kv->value.len);
}

// One page from `key` on, which is moved behind it. 1: there are more.
static int read_page(struct etcd *e, struct buf *key, const char *end, etcd_news news, void *ctx, struct err *err)
{
	Etcd__RangeRequest request = ETCD__RANGE_REQUEST__INIT;
	Etcd__RangeResponse *reply;
	request.key = bytes_of(key->data, key->len);
	request.range_end = bytes_of(end, strlen(end));
	request.limit = ETCD_PAGE;
	request.revision = e->revision;
	if (call(e, "/etcdserverpb.KV/Range", &request.base, &etcd__range_response__descriptor, &reply, err) < 0)
		return -1;
	if (!e->revision && reply->header)
		e->revision = reply->header->revision;
	for (size_t i = 0; i < reply->n_kvs; i++)
		tell(e, reply->kvs[i], false, news, ctx);
	int more = reply->more && reply->n_kvs;
	if (more) {
		const ProtobufCBinaryData *last = &reply->kvs[reply->n_kvs - 1]->key;
		buf_clear(key);
		buf_add(key, last->data, last->len);
		buf_addc(key, '\0'); // the next key after it
	}
	etcd__range_response__free_unpacked(reply, NULL);
	return more;
}

int etcd_read(struct etcd *e, etcd_news news, void *ctx, struct err *err)
{
	AUTO_BUF struct buf key = BUF_INIT;
	AUTO_FREE char *end = end_of_prefix(e);
	int rc;
	e->revision = 0;
	buf_adds(&key, e->config.prefix);
	do
		rc = read_page(e, &key, end, news, ctx, err);
	while (rc == 1);
	return rc;
}

static int start_watch(struct etcd *e, struct err *err)
{
	AUTO_FREE char *end = end_of_prefix(e);
	Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
	Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
	create.key = bytes_of(e->config.prefix, strlen(e->config.prefix));
	create.range_end = bytes_of(end, strlen(end));
	create.start_revision = e->revision + 1;
	request.request_case = ETCD__WATCH_REQUEST__REQUEST_CREATE_REQUEST;
	request.create_request = &create;
	return start(e, "/etcdserverpb.Watch/Watch", &e->watch, err) < 0 || rpc_send(e->watch, &request.base, err) < 0 ? -1
														       : 0;
}

int etcd_watch(struct etcd *e, int timeout_ms, etcd_news news, void *ctx, struct err *err)
{
	int64_t until = clock_ms() + timeout_ms, left = timeout_ms;
	if (!e->watch && start_watch(e, err) < 0)
		return -1;
	for (; left >= 0; left = until - clock_ms()) {
		struct err none = ERR_INIT;
		Etcd__WatchResponse *reply;
		int rc = rpc_receive(e->watch, &etcd__watch_response__descriptor, (int)left, &reply, &none);
		if (rc < 0 && none.code == ERR_TIMEOUT)
			return 0;
		if (rc <= 0)
			return rc == 0 ? end_of(err) : err_take(err, &none);
		for (size_t i = 0; i < reply->n_events; i++)
			tell(e, reply->events[i]->kv, reply->events[i]->type == ETCD__EVENT__TYPE__DELETE, news, ctx);
		bool is_over = reply->canceled;
		if (is_over)
			err_set(err, ERR_FORMAT, "etcd has ended the watch: %.200s",
				reply->compact_revision ? "what has changed is no longer known" : reply->cancel_reason);
		etcd__watch_response__free_unpacked(reply, NULL);
		if (is_over)
			return -1;
	}
	return 0;
}
