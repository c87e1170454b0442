#include "client/launcher/launcher.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool launcher_write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};
			poll(&room, 1, -1);
			continue;
		}
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

void launcher_say(const char *fmt, ...)
{
	char line[1024] = "coffer: ";
	const size_t prefix = strlen(line), room = sizeof line - prefix - 1;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line + prefix, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	size_t len = prefix + ((size_t)n < room ? (size_t)n : room - 1);
	line[len] = '\n';
	launcher_write_all(STDERR_FILENO, line, len + 1);
}

const char *launcher_env(void *unused, const char *name)
{
	(void)unused;
	return getenv(name);
}

const char *launcher_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}
