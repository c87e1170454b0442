// What the agent is asked for: a request that it takes names nothing outside of the scratch directory, and everything has a
// limit.
#include "agent/request.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n > REQUEST_MAX_NAME || name[0] == '/' || name[n - 1] == '/' || strstr(name, "//") ||
	    strstr(name, "/../") || strncmp(name, "../", 3) == 0 || strcmp(name, "..") == 0 ||
	    (n > 2 && strcmp(name + n - 3, "/..") == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	Coffer__V1__ExecRequest *m = coffer__v1__exec_request__unpack(NULL, size, data);
	if (!m)
		return 0;
	if (m->kind_case == COFFER__V1__EXEC_REQUEST__KIND_HEADER) {
		const Coffer__V1__ExecHeader *h = m->header;
		if (request_check(h, &err) == 0) {
			if (!h->limits || !h->limits->wall_ms || !h->limits->processes || h->n_arguments == 0)
				abort();
			if (h->source_name[0])
				check_name(h->source_name);
			for (size_t i = 0; i < h->n_outputs; i++)
				check_name(h->outputs[i]);
		} else if (err.code != ERR_USAGE) {
			abort();
		}
	}
	coffer__v1__exec_request__free_unpacked(m, NULL);
	return 0;
}
