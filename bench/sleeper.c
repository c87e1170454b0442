// A compiler that sleeps and uses no CPU: what a farm takes with it is the farm's own time. Sleeps for COFFER_SLEEP_MS, or a
// second, and writes an object of a few bytes.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *set = getenv("COFFER_SLEEP_MS"), *output = NULL;
	long ms = set ? atol(set) : 1000;
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-fsleep=", 8) == 0)
			t = (struct timespec){atol(argv[i] + 8) / 1000, atol(argv[i] + 8) % 1000 * 1000000};
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			output = argv[++i];
	}
	nanosleep(&t, NULL);
	int fd = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
	return fd >= 0 && write(fd, "object", 6) == 6 ? 0 : 1;
}
