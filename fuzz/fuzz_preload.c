// Files that stand where a build has its compiler: whether a library can be loaded into them is read from headers of any kind.
#include "base/preload.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd = memfd_create("program", MFD_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	// One that a library fits is one that the kernel runs.
	if (preload_fits(path) && !preload_is_program(path))
		abort();
	preload_fits_carrier(path);
	close(fd);
	return 0;
}
