// What a server of the Remote Execution API answers to our calls: a byte says to which. Whatever it is, nothing comes out but what was
// asked for, with the SHA-256 that names it, and no more of it than may be.
#include "base/mem.h"
#include "reapi/client/answers.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_digests(struct reapi_digest asked[ASKED])
{
	asked[0] = reapi_digest_of("hello", 5);
	asked[1] = reapi_digest_of("", 0);
	asked[2] = reapi_digest_of("abc", 3);
}

static void try_capabilities(const uint8_t *p, size_t n)
{
	struct reapi_limits l;
	if (answer_capabilities(p, n, &l, NULL) == 0 &&
	    (l.batch_bytes == 0 || l.batch_bytes > REAPI_BATCH_MOST || l.blob_bytes <= 0))
		abort();
}

static void try_blobs(const uint8_t *p, size_t n)
{
	struct reapi_digest asked[ASKED];
	struct reapi_wanted w[ASKED] = {{.is_there = false}};
	make_digests(asked);
	for (size_t i = 0; i < ASKED; i++) {
		w[i].digest = asked[i];
		w[i].out.max = 6;
	}
	bool is_good = answer_blobs(p, n, w, ASKED, NULL) == 0;
	for (size_t i = 0; i < ASKED; i++) {
		struct reapi_digest d = reapi_digest_of(w[i].out.data ? w[i].out.data : "", w[i].out.len);
		if (is_good && w[i].is_there && !reapi_digest_equal(&d, &asked[i]))
			abort();
		buf_release(&w[i].out);
	}
}

static void try_file(const uint8_t *p, size_t n)
{
	enum { MOST = 100 };
	AUTO_BUF struct buf out = {.max = MOST};
	struct reapi_digest d;
	if (answer_one_file(p, n, "entry", &d, &out, NULL) == 1 && (d.size < 0 || (out.len && out.len != (uint64_t)d.size)))
		abort();
	if (out.len > MOST)
		abort();
}

static void try_outcome(const uint8_t *p, size_t n, bool is_operation)
{
	struct reapi_output outputs[] = {{.path = "x.dwo"}, {.path = "x.o"}};
	struct reapi_outcome o = {.is_done = false};
	int rc = is_operation ? answer_operation(p, n, outputs, 2, &o, NULL) : answer_result(p, n, outputs, 2, &o, NULL);
	bool is_run = rc == 0 && o.is_done && !o.status;
	if (is_run && (o.exit_code < 0 || o.exit_code > 255 || o.out.bytes.len > REAPI_WORDS_MOST ||
		       o.errs.bytes.len > REAPI_WORDS_MOST || o.out.digest.size < 0 || o.errs.digest.size < 0))
		abort();
	for (size_t i = 0; is_run && i < 2; i++)
		if (outputs[i].is_there && outputs[i].digest.size < 0)
			abort();
	if (memchr(o.name, '\0', sizeof o.name) == NULL || memchr(o.why, '\0', sizeof o.why) == NULL)
		abort();
	outcome_release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reapi_digest asked[ASKED];
	bool missing[ASKED];
	if (size == 0)
		return 0;
	make_digests(asked);
	const uint8_t *p = data + 1;
	size_t n = size - 1;
	switch (data[0] % 8) {
	case 0:
		try_capabilities(p, n);
		break;
	case 1:
		answer_missing(p, n, asked, ASKED, missing, NULL);
		break;
	case 2:
		answer_updated(p, n, asked, ASKED, NULL);
		break;
	case 3:
		try_blobs(p, n);
		break;
	case 4:
		try_file(p, n);
		break;
	case 5:
		answer_written(p, n, 10, 7, NULL);
		break;
	default:
		try_outcome(p, n, data[0] % 8 == 6);
	}
	return 0;
}
