// Objects from a worker: whatever the bytes are, nothing beyond them is read.
#include "client/farm/object.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	object_check("x86_64-linux-gnu", data, size, &err);
	return 0;
}
