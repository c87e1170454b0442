// `coffer scheduler`: the farm's look-up service, which lives in a directory of its own.
#include "scheduler/scheduler.h"
#include "client/verbs/verbs.h"

int verb_scheduler(int argc, char **argv)
{
	return scheduler_main(argc, argv);
}
