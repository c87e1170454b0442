// Serves Agent.Exec: one job from its header to its exit. Each call has a thread of its own.
#ifndef COFFER_AGENT_EXEC_H
#define COFFER_AGENT_EXEC_H

#include "remote/rpc.h"

#define AGENT_EXEC_PATH "/coffer.v1.Agent/Exec"

void exec_serve(struct rpc_call *call, void *agent); // struct agent

#endif
