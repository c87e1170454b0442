// Results of actions, as clients see them: only whole ones, with all that they name still there. Thread: any.
#ifndef COFFER_GATEWAY_RESULTS_H
#define COFFER_GATEWAY_RESULTS_H

#include "gateway/blobs.h"

enum { RESULTS_MAX_BYTES = 3 << 20 }; // of one, without what goes inline

enum results_answer { RESULTS_NONE, RESULTS_INCOMPLETE, RESULTS_FOUND };
// RESULTS_FOUND with *result, to be freed with reapi__action_result__free_unpacked.
enum results_answer results_find(struct tenant_blobs *t, const struct reapi_digest *action, Reapi__ActionResult **result);
// Whether all that it names is there.
bool results_are_there(struct tenant_blobs *t, const Reapi__ActionResult *result);
// ERR_FORMAT: it says nothing, or a digest or a path of it makes no sense.
int results_check(const Reapi__ActionResult *result, struct err *err);
int results_store(struct tenant_blobs *t, const struct reapi_digest *action, const Reapi__ActionResult *result,
		  struct err *err);

// What the client wants to have at once.
struct results_wish {
	bool out, errs;
	char *const *files;
	size_t n_files;
};
void results_add_inline(struct tenant_blobs *t, Reapi__ActionResult *result, const struct results_wish *wish, size_t most);

#endif
