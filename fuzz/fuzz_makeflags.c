// MAKEFLAGS and command lines: any bytes. What is written must name our pool and no other, hold no second -j, and keep
// the variables; a command line keeps its words but those of -j.
#include "jobserver/client/makeflags.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_flags(const char *text)
{
	struct auth a = makeflags_auth(text);
	check(a.kind == AUTH_NONE || (a.text >= text && a.text + a.text_len <= text + strlen(text)));
	int jobs = makeflags_jobs(text);
	check(jobs >= JOBS_UNSET && jobs <= JOBS_MAX);
	struct buf out AUTO_BUF = BUF_INIT, again AUTO_BUF = BUF_INIT;
	makeflags_write(&out, text, 7, "--jobserver-auth=fifo:/pool");
	a = makeflags_auth(out.data);
	check(a.kind == AUTH_FIFO && a.path_len == 5 && memcmp(a.path, "/pool", 5) == 0);
	check(makeflags_jobs(out.data) == 7);
	makeflags_write(&again, out.data, 7, "--jobserver-auth=fifo:/pool");
	check(again.len <= out.len + 1);
}

static void fuzz_words(char *text, enum jobs_grammar g, enum jobs_grammar native)
{
	enum { MOST_WORDS = 64 };
	static char name[] = "tool";
	char *argv[MOST_WORDS + 2] = {name}, *save = NULL;
	size_t n = 1, left = 0;
	for (char *w = strtok_r(text, "\n", &save); w && n <= MOST_WORDS; w = strtok_r(NULL, "\n", &save))
		argv[n++] = w;
	argv[n] = NULL;
	ninja_is_no_build(argv);
	int jobs = JOBS_UNSET;
	jobs_strip(argv, g, native, &jobs);
	check(argv[0] == name && jobs >= JOBS_UNSET && jobs <= JOBS_MAX);
	while (argv[left])
		left++;
	check(left <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	AUTO_FREE char *text = mem_strndup((const char *)data + 1, size - 1);
	if (data[0] & 1)
		fuzz_flags(text);
	else
		fuzz_words(text, (data[0] >> 1) % 3, (data[0] >> 3) % 2);
	return 0;
}
