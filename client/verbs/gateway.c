// `coffer gateway`: the Remote Execution API in front of the farm, which lives in a directory of its own.
#include "gateway/gateway.h"
#include "client/verbs/verbs.h"

int verb_gateway(int argc, char **argv)
{
	return gateway_main(argc, argv);
}
