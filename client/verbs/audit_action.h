// An action of the Remote Execution API as a row of the audit log names it, out of what the worker still keeps of it: for its
// provenance. Each message and file is named by a digest that the row's key or output leads to. Thread: main only.
#ifndef COFFER_CLIENT_VERBS_AUDIT_ACTION_H
#define COFFER_CLIENT_VERBS_AUDIT_ACTION_H

#include "audit/provenance.h"
#include "worker/results.h"

struct audit_action;

// NULL: action, command, input root or result are not all here, or none of them is what its digest says.
struct audit_action *audit_action_load(struct results *results, const struct audit_row *row);
void audit_action_free(struct audit_action *x); // NULL is fine
// Good as long as the action.
const struct provenance_tree *audit_action_tree(const struct audit_action *x);

#endif
