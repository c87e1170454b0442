// The first process of a microVM: makes of a bare kernel what a sandbox session has, starts the agent in it, and carries bytes
// between the one channel of the VM and the agent. When either end is gone the VM is switched off.
#ifndef COFFER_AGENT_VM_H
#define COFFER_AGENT_VM_H

// Returns when something of the set-up fails, having said what on the console and to the other end of the channel.
void vm_run(void);

#endif
