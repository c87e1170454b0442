// counters [NAME]: what `coffer stats --tsv` says of the cache in the environment, or one counter, without the sizes: for tests,
// which ask several times for each compile, and for which the start of cofferd with all its libraries is the most of that.
#include "client/config.h"
#include "client/stats.h"
#include "client/wire/place.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	struct stats *s = NULL;
	bool is_found = argc == 1;
	const char *cache_dir = config_cache_dir(&a, process_env, NULL);
	if (!cache_dir) {
		fprintf(stderr, "counters: no cache directory is known\n");
		return 2;
	}
	if (access(cache_dir, F_OK) == 0 && !(s = stats_open(cache_dir, &err))) {
		fprintf(stderr, "counters: %s\n", err.text);
		return 2;
	}
	struct wire_place place;
	if (s && wire_find_place(&place, &a, process_env, NULL))
		stats_take_lost(s, place.dir);
	for (enum stat_counter c = 0; c < STAT_COUNT; c++) {
		if (argc == 1) {
			printf("%s\t%llu\n", stats_name(c), (unsigned long long)stats_value(s, c));
		} else if (strcmp(stats_name(c), argv[1]) == 0) {
			printf("%llu\n", (unsigned long long)stats_value(s, c));
			is_found = true;
		}
	}
	stats_close(s);
	return is_found ? 0 : 1;
}
