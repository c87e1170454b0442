#include "remote/refusal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void rpc_refuse(struct rpc_call *call, struct log_limit *limit, enum log_level level, enum rpc_code code, const char *fmt,
		va_list ap)
{
	AUTO_FREE char *text = NULL;
	uint64_t left_out;
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	if (limit && log_limit_take(limit, clock_ms(), &left_out))
		log_event(level, "call refused", LOG_TEXT("peer", rpc_call_peer(call)->address),
			  LOG_TEXT("call", rpc_call_path(call)), LOG_TEXT("code", rpc_code_name(code)),
			  LOG_TEXT("why", text), LOG_NUMBER("left_out", left_out));
	rpc_finish(call, code, "%s", text);
}
