#include "worker/runtime/limits.h"

#include "base/mem.h"

#define MB (UINT64_C(1) << 20)

const struct limits limits_default = {
	.wall_ms = 600 * 1000,
	.cpu_s = 600,
	.memory_bytes = 4096 * MB,
	.files = 1024,
	.processes = 256,
	.file_bytes = 1024 * MB,
	.scratch_bytes = 2048 * MB,
	.message_bytes = MB,
};

struct limits limits_with_defaults(const struct limits *set)
{
	const struct limits *d = &limits_default;
	return (struct limits){
		.wall_ms = set->wall_ms ? set->wall_ms : d->wall_ms,
		.cpu_s = set->cpu_s ? set->cpu_s : d->cpu_s,
		.memory_bytes = set->memory_bytes ? set->memory_bytes : d->memory_bytes,
		.files = set->files ? set->files : d->files,
		.processes = set->processes ? set->processes : d->processes,
		.file_bytes = set->file_bytes ? set->file_bytes : d->file_bytes,
		.scratch_bytes = set->scratch_bytes ? set->scratch_bytes : d->scratch_bytes,
		.message_bytes = set->message_bytes ? set->message_bytes : d->message_bytes,
	};
}

static uint64_t lower(uint64_t most, uint64_t asked)
{
	return asked && asked < most ? asked : most;
}

struct limits limits_lower(const struct limits *most, const struct limits *asked)
{
	return (struct limits){
		.wall_ms = (uint32_t)lower(most->wall_ms, asked->wall_ms),
		.cpu_s = (uint32_t)lower(most->cpu_s, asked->cpu_s),
		.memory_bytes = lower(most->memory_bytes, asked->memory_bytes),
		.files = (uint32_t)lower(most->files, asked->files),
		.processes = (uint32_t)lower(most->processes, asked->processes),
		.file_bytes = lower(most->file_bytes, asked->file_bytes),
		.scratch_bytes = lower(most->scratch_bytes, asked->scratch_bytes),
		.message_bytes = lower(most->message_bytes, asked->message_bytes),
	};
}

int limits_check(const struct limits *l, struct err *err)
{
	const struct {
		const char *name;
		uint64_t value, least;
	} all[] = {
		{"wall clock, in milliseconds", l->wall_ms, 1},
		{"CPU, in seconds", l->cpu_s, 1},
		{"memory, in bytes", l->memory_bytes, 16 * MB},
		{"open files", l->files, 16},
		{"processes", l->processes, 1},
		{"bytes of a file", l->file_bytes, 4096},
		{"bytes of scratch space", l->scratch_bytes, 64 * 1024},
		{"bytes of messages", l->message_bytes, 1},
	};
	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (all[i].value < all[i].least)
			return err_set(err, ERR_USAGE, "the limit of %s is at least %llu, not %llu", all[i].name,
				       (unsigned long long)all[i].least, (unsigned long long)all[i].value);
	return 0;
}
