// Capabilities: what a client may expect. (Bazel speaks 2.0 and refuses a server whose lowest version is above it.)
#include "gateway/service.h"

static void reply(struct visit *v, const void *request)
{
	(void)request;
	static int32_t functions[] = {REAPI_SHA256}, compressors[] = {0, 1};
	Reapi__SemVer low = REAPI__SEM_VER__INIT, high = REAPI__SEM_VER__INIT;
	Reapi__ActionCacheUpdateCapabilities update = REAPI__ACTION_CACHE_UPDATE_CAPABILITIES__INIT;
	Reapi__CacheCapabilities cache = REAPI__CACHE_CAPABILITIES__INIT;
	Reapi__ExecutionCapabilities execution = REAPI__EXECUTION_CAPABILITIES__INIT;
	Reapi__ServerCapabilities m = REAPI__SERVER_CAPABILITIES__INIT;
	low.major = high.major = 2;
	high.minor = 3;
	update.update_enabled = v->caller.may_write_results;
	cache.digest_functions = functions;
	cache.n_digest_functions = 1;
	cache.action_cache_update_capabilities = &update;
	cache.max_batch_total_size_bytes = GATEWAY_BATCH_BYTES;
	cache.symlink_absolute_path_strategy = 1;
	cache.supported_compressors = cache.supported_batch_update_compressors = compressors;
	cache.n_supported_compressors = cache.n_supported_batch_update_compressors = 2;
	cache.max_cas_blob_size_bytes = blobs_max(v->blobs);
	execution.digest_function = REAPI_SHA256;
	execution.exec_enabled = true;
	execution.digest_functions = functions;
	execution.n_digest_functions = 1;
	m.cache_capabilities = &cache;
	if (v->gateway->executor)
		m.execution_capabilities = &execution;
	m.low_api_version = &low;
	m.high_api_version = &high;
	rpc_reply(v->call, &m.base);
}

void capabilities_serve(struct rpc_call *call, void *gateway)
{
	gateway_serve_named(gateway, call, &reapi__get_capabilities_request__descriptor, reply);
}
