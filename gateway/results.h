// Results of actions, as clients see them: only whole ones, with all that they name still there. Thread: any.
#ifndef COFFER_GATEWAY_RESULTS_H
#define COFFER_GATEWAY_RESULTS_H

#include "gateway/held.h"
#include "proto/reapi.pb-c.h"

enum {
	RESULTS_MAX_BYTES = 3 << 20,  // of one, without what goes inline
	RESULTS_TREE_BYTES = 16 << 20 // of all trees of its directories together
};

enum results_answer { RESULTS_NONE, RESULTS_INCOMPLETE, RESULTS_FOUND, RESULTS_FAILED };
// Here, or in a store that gateways share. RESULTS_FOUND with a Reapi__ActionResult, to be released. RESULTS_FAILED with `err`: no room to look, or the disk.
enum results_answer results_find(struct tenant_blobs *t, const struct reapi_digest *action, struct held *result,
				 struct err *err);
// Whether all that it names is there: 1 or 0; -1 as for RESULTS_FAILED.
int results_are_there(struct tenant_blobs *t, const Reapi__ActionResult *result, struct err *err);
// Visits all blobs that it names, those of its trees after these, until one of them is refused: false, as for a tree that is none.
bool results_each_blob(struct tenant_blobs *t, const Reapi__ActionResult *result,
		       bool (*fn)(void *ctx, const struct reapi_digest *d), void *ctx);
// ERR_FORMAT: it says nothing, or a digest or a path of it makes no sense; ERR_LIMIT: it is too large.
int results_check(const Reapi__ActionResult *result, struct err *err);
int results_store(struct tenant_blobs *t, const struct reapi_digest *action, const Reapi__ActionResult *result,
		  struct err *err);

// What the client wants to have at once.
struct results_wish {
	bool out, errs;
	char *const *files;
	size_t n_files;
};
// As far as there is room in its memory, and in a message that has `most` bytes.
void results_add_inline(struct room *room, Reapi__ActionResult *result, const struct results_wish *wish, size_t most);

#endif
