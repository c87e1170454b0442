// An agent that a job has taken over answers with anything: whatever it says, no more reaches the sinks than a job may
// write, in the order and the sizes that were announced. Each message is a byte of length (times eight) and its bytes.
#include "worker/runtime/reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 1000, FILE_BYTES = 2000, SCRATCH = 3000, OUTPUTS = 3 };

static int count(void *ctx, const void *p, size_t n, struct err *err)
{
	uint64_t *total = ctx;
	volatile uint8_t last = ((const uint8_t *)p)[n - 1];
	(void)last;
	(void)err;
	*total += n;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t out = 0, errs = 0, bytes[OUTPUTS] = {0}, all = 0;
	const struct limits limits = {.message_bytes = MESSAGES, .file_bytes = FILE_BYTES, .scratch_bytes = SCRATCH};
	struct job_output outputs[OUTPUTS];
	for (int i = 0; i < OUTPUTS; i++)
		outputs[i] = (struct job_output){.name = "x", .sink = {count, &bytes[i]}};
	struct runtime_job job = {.outputs = outputs, .n_outputs = OUTPUTS, .out = {count, &out}, .errs = {count, &errs}};
	struct job_result result = {.exit_status = -1};
	struct reply reply = {.job = &job, .limits = &limits, .result = &result};
	struct err err = ERR_INIT;
	int rc = 0;
	while (size && rc == 0) {
		size_t n = (size_t)data[0] * 8 < size - 1 ? (size_t)data[0] * 8 : size - 1;
		Coffer__V1__ExecReply *m = coffer__v1__exec_reply__unpack(NULL, n, data + 1);
		data += n + 1;
		size -= n + 1;
		if (!m)
			continue;
		rc = reply_take(&reply, m, &err);
		coffer__v1__exec_reply__free_unpacked(m, NULL);
	}
	for (int i = 0; i < OUTPUTS; i++) {
		all += bytes[i];
		if (bytes[i] > FILE_BYTES ||
		    (rc == 0 && reply.is_ended && outputs[i].is_present && bytes[i] != outputs[i].size))
			abort();
	}
	if (out > MESSAGES || errs > MESSAGES || all > SCRATCH)
		abort();
	if (reply_end(&reply, &err) == 0 && (result.exit_status < 0 || result.exit_status > 255))
		abort();
	return 0;
}
