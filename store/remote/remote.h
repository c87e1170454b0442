// Tiers on other machines, by URL:
//
//   http://HOST[:PORT]/PATH   https://…   GET, PUT and HEAD of PATH/ac/<64 hex digits> and PATH/cas/<64 hex digits>
//   redis://HOST[:PORT][/DB]  redis+unix:/PATH[?db=N]   keys coffer:ac:<hex> and coffer:cas:<hex>
//   s3://BUCKET[/PREFIX]?endpoint=URL&region=REGION[&style=path]   objects PREFIX/ac/…, PREFIX/cas/…
//   grpcs://HOST[:PORT][/INSTANCE]   grpc://…   the ContentAddressableStorage and ActionCache of a Remote Execution API
//   file:/DIRECTORY           files ac/<2 hex digits>/<62>, cas/…, in a folder that many mount
//
// A URL never has a secret: those are in a file of `name = value` lines (struct credentials), which only its owner may read.
// Thread: any.
#ifndef COFFER_STORE_REMOTE_REMOTE_H
#define COFFER_STORE_REMOTE_REMOTE_H

#include "store/tier.h"

struct remote_config {
	const char *url;
	const char *credentials; // the file, or "" or NULL
	const char *ca;          // PEM file; "" or NULL: the system's
};

// ERR_USAGE, ERR_ACCESS (the file of credentials), ERR_NOT_FOUND. Asks nobody: the first call on the tier connects.
int remote_open(const struct remote_config *config, struct tier **out, struct err *err);

#endif
