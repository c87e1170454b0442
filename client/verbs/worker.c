// `coffer worker`: runs the farm's jobs, and lives in a directory of its own.
#include "worker/worker.h"
#include "client/verbs/verbs.h"

int verb_worker(int argc, char **argv)
{
	return worker_main(argc, argv);
}
