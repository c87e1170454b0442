// What the first process of a microVM and its worker agree on.
//
// There are two channels. The one for control carries lines of text; the other one carries the agent's gRPC, and nothing else:
//   guest: VM_READY    it is as new: no agent of it has served anybody. Once after the boot and after the end of each connection
//   guest: VM_FAILED   or what could not be set up; it switches itself off
//   worker: VM_BEGIN   the time and new random bytes, before any work, whatever the guest was before: just booted, or resumed
//   guest: VM_BEGUN    the clock and the kernel's random numbers are renewed, the agent takes what comes on the other channel
// The end of a connection is its closing by the worker. When the channel for control is closed the guest switches itself off.
#ifndef COFFER_PROTO_VM_H
#define COFFER_PROTO_VM_H

#define VM_DATA "coffer"                // names of the virtio serial ports
#define VM_CONTROL "coffer.control"     //
#define VM_INIT "init"                  // files of the initial file system: the agent,
#define VM_FILTER "filter"              // seccomp's program for jobs,
#define VM_MODULES "modules"            // a directory with modules of the kernel,
#define VM_MODULE_ORDER "order"         // and the order in which they are loaded, a name a line
#define VM_JOBS "coffer.jobs="          // a word of the kernel's command line: jobs at once
#define VM_CHANNEL_IS "coffer.channel=" // another one: "vsock"; else the serial ports
#define VM_READY "coffer ready 2\n"
#define VM_FAILED "coffer failed: " // and why, and '\n'
#define VM_BEGIN "begin "           // and the nanoseconds since 1970, a space, 64 hex digits, '\n'
#define VM_BEGUN "begun\n"

enum { VM_RANDOM = 32, VM_LINE_MAX = 600 }; // bytes

// With vsock the guest listens on these two ports. After the boot it says that it is ready, or what failed, by a call to the host's
// VM_READY_PORT, and again on each connection to VM_CONTROL_PORT.
enum { VM_DATA_PORT = 5000, VM_READY_PORT = 5001, VM_CONTROL_PORT = 5002 };

#endif
