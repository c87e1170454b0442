// A compiler for tests, in an image of its own: sleeps (-fsleep=MS), fails (-fstatus=N), writes what nobody can know
// (-frandom), a link instead of an object (-flink), or nothing (-fnothing), or leaves a file for the next job (-fleave) and
// says whether it finds one.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *value_of(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], name, strlen(name)) == 0)
			return argv[i] + strlen(name);
	return NULL;
}

static int write_object(const char *output, int is_random)
{
	char bytes[32] = "object";
	if (is_random) {
		int random = open("/dev/urandom", O_RDONLY);
		if (read(random, bytes, sizeof bytes) != sizeof bytes)
			return 1;
	}
	int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	return write(fd, bytes, sizeof bytes) != sizeof bytes;
}

int main(int argc, char **argv)
{
	const char *sleep_ms = value_of(argc, argv, "-fsleep="), *status = value_of(argc, argv, "-fstatus=");
	const char *output = NULL;
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "-o") == 0)
			output = argv[i + 1];
	if (sleep_ms) {
		struct timespec t = {atol(sleep_ms) / 1000, atol(sleep_ms) % 1000 * 1000000};
		nanosleep(&t, NULL);
	}
	if (value_of(argc, argv, "-fleave")) {
		fprintf(stderr, access("/tmp/left", F_OK) == 0 ? "found\n" : "nothing\n");
		close(open("/tmp/left", O_WRONLY | O_CREAT, 0666));
	}
	if (status)
		return atoi(status);
	if (value_of(argc, argv, "-fnothing"))
		return 0;
	if (value_of(argc, argv, "-flink"))
		return symlink("/etc/passwd", output) < 0;
	return write_object(output, value_of(argc, argv, "-frandom") != NULL);
}
