// Any text as a response file: it is split without a read past its end, and quoting the words again gives the same words.
#include "compiler/cmdline.h"

#include "base/buf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(x) ((x) ? (void)0 : abort())

static void quote(struct buf *b, const char *word)
{
	buf_addc(b, '"');
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			buf_addc(b, '\\');
		buf_addc(b, *word);
	}
	buf_adds(b, "\"\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA struct arena a = ARENA_INIT;
	AUTO_BUF struct buf again = BUF_INIT;
	const char **words, **same;
	int n = response_split(&a, (const char *)data, size, &words);
	if (n < 0)
		return 0;
	REQUIRE(!words[n]);
	for (int i = 0; i < n; i++) {
		REQUIRE(words[i][0]);
		quote(&again, words[i]);
	}
	REQUIRE(response_split(&a, again.data ? again.data : "", again.len, &same) == n);
	for (int i = 0; i < n; i++)
		REQUIRE(strcmp(words[i], same[i]) == 0);
	return 0;
}
