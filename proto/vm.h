// What the first process of a microVM and its worker agree on, before the channel between them speaks gRPC.
#ifndef COFFER_PROTO_VM_H
#define COFFER_PROTO_VM_H

#define VM_CHANNEL "coffer"             // the name of the virtio serial port
#define VM_INIT "init"                  // files of the initial file system: the agent,
#define VM_FILTER "filter"              // seccomp's program for jobs,
#define VM_MODULES "modules"            // a directory with modules of the kernel,
#define VM_MODULE_ORDER "order"         // and the order in which they are loaded, a name a line
#define VM_JOBS "coffer.jobs="          // a word of the kernel's command line: jobs at once
#define VM_CHANNEL_IS "coffer.channel=" // another one: "vsock"; else the serial port
#define VM_READY "coffer ready 1\n"     // the first bytes from the guest; what follows is gRPC
#define VM_FAILED "coffer failed: "     // or: a line that says what could not be set up

// With vsock the agent listens on VM_PORT, and says that it is ready by a call to the host's VM_READY_PORT.
enum { VM_PORT = 5000, VM_READY_PORT = 5001 };

#endif
