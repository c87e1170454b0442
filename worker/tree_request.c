#include "worker/tree_request.h"

#include "reapi/digest.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

// Bytes without a zero among them.
static char *text(struct rd *rd, struct arena *a)
{
	size_t n = 0;
	const char *p = rd_str(rd, &n);
	rd->bad |= !p || memchr(p, '\0', n);
	return arena_strndup(a, rd->bad ? "" : p, rd->bad ? 0 : n);
}

// As text, and no larger than `most`.
static size_t number(struct rd *rd, struct arena *a, size_t most)
{
	const char *digits = text(rd, a);
	size_t n = strspn(digits, "0123456789");
	unsigned long value = n && n < 10 ? strtoul(digits, NULL, 10) : 0;
	rd->bad |= n == 0 || n >= 10 || digits[n] || value > most || (n > 1 && *digits == '0');
	return rd->bad ? 0 : value;
}

static char **list(struct rd *rd, struct arena *a, size_t *n)
{
	*n = number(rd, a, HEADER_MAX_WORDS);
	char **words = arena_alloc(a, (*n + 1) * sizeof *words);
	for (size_t i = 0; i < *n; i++)
		words[i] = text(rd, a);
	return words;
}

static void read_outputs(struct rd *rd, struct arena *a, struct tree_request *r)
{
	r->header.n_outputs = number(rd, a, HEADER_MAX_OUTPUTS);
	for (size_t i = 0; i < r->header.n_outputs; i++) {
		r->outputs[i] = (Coffer__V1__Output)COFFER__V1__OUTPUT__INIT;
		r->outputs[i].kind = (Coffer__V1__Output__Kind)number(rd, a, COFFER__V1__OUTPUT__KIND__ASSEMBLER_DEPFILE);
		r->outputs[i].name = text(rd, a);
		r->output_list[i] = &r->outputs[i];
	}
	r->header.outputs = r->output_list;
}

int tree_request_read(const void *p, size_t n, struct arena *a, struct tree_request *r, struct err *err)
{
	struct rd rd = RD(p, n);
	Coffer__V1__CompileHeader *h = &r->header;
	size_t n_listing = 0;
	*h = (Coffer__V1__CompileHeader)COFFER__V1__COMPILE_HEADER__INIT;
	r->tree = (Coffer__V1__CompileTree)COFFER__V1__COMPILE_TREE__INIT;
	h->tree = &r->tree;
	rd.bad |= strcmp(text(&rd, a), KEY_TREE) != 0;
	r->scope = text(&rd, a);
	r->identity = text(&rd, a);
	h->image = strncmp(r->identity, "sha256:", 7) == 0 ? arena_strdup(a, r->identity) : arena_strdup(a, "host:any");
	h->compiler = text(&rd, a);
	r->tree.directory = text(&rd, a);
	r->tree.environment = list(&rd, a, &r->tree.n_environment);
	read_outputs(&rd, a, r);
	h->arguments = list(&rd, a, &h->n_arguments);
	const char *listing = rd_str(&rd, &n_listing);
	if (rd.bad || n_listing != sizeof r->listing.b || rd_left(&rd) > 0)
		return err_set(err, ERR_FORMAT, "what was asked for is not told in a form that is known");
	memcpy(r->listing.b, listing, sizeof r->listing.b);
	return header_check_tree(h, err);
}

int tree_request_load(struct results *results, const char *tenant, const struct key *key, struct arena *a,
		      struct tree_request *r, struct err *err)
{
	AUTO_BUF struct buf bytes = {.max = MOST_BYTES};
	struct reapi_digest d = {.size = -1};
	memcpy(d.hash.b, key->b, sizeof d.hash.b);
	int found = results_get_content(results, tenant, &d, &bytes, err);
	return found != 1 ? found : tree_request_read(bytes.data, bytes.len, a, r, err) < 0 ? -1 : 1;
}
