// cofferd: the daemon and every verb in one program. `coffer VERB` runs `cofferd VERB`.
#include "client/daemon/daemon.h"
#include "client/verbs/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *verb_of_option(const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return "help";
	return strcmp(word, "--version") == 0 ? "version" : word;
}

static int run_verb(int argc, char **argv)
{
	const struct verb *v = verb_find(verb_of_option(argv[0]));
	int status = v ? v->run(argc, argv) : argv[0][0] == '-' ? verb_ccache_option(argc, argv) : -1;
	if (status < 0)
		return verb_unknown(argv[0]);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "coffer: cannot write to standard output: %s\n", strerror(errno));
	return status ? status : 1;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "coffer: cofferd needs a verb\ncoffer: 'coffer help' lists them all\n");
		return 2;
	}
	if (strcmp(argv[1], "daemon") == 0)
		return daemon_main(argc - 1, argv + 1);
	return run_verb(argc - 1, argv + 1);
}
