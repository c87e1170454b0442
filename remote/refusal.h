// A call that is refused: its caller is told, and the log, which has a limit on such lines. Each service counts its refusals itself.
// Thread: any.
#ifndef COFFER_REMOTE_REFUSAL_H
#define COFFER_REMOTE_REFUSAL_H

#include "base/log.h"
#include "base/log_limit.h"
#include "remote/rpc.h"

#include <stdarg.h>

// Ends the call. `limit` NULL: nothing is logged.
__attribute__((format(printf, 5, 0))) void rpc_refuse(struct rpc_call *call, struct log_limit *limit, enum log_level level,
						      enum rpc_code code, const char *fmt, va_list ap);

#endif
