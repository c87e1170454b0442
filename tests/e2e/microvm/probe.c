// A program for guests, without a library to load: what it sees and may do there. `probe WORD`.
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "true";
	if (strcmp(what, "true") == 0)
		return 0;
	if (strcmp(what, "random") == 0) {
		unsigned char b[16];
		if (getrandom(b, sizeof b, 0) != sizeof b)
			return 1;
		for (size_t i = 0; i < sizeof b; i++)
			printf("%02x", b[i]);
		printf("\n");
		return 0;
	}
	if (strcmp(what, "clock") == 0) {
		printf("%lld\n", (long long)time(NULL));
		return 0;
	}
	return 2;
}
