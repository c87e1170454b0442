// The name of an image in a registry, and where URLs lead. Texts are from users and from registries. Thread: any.
//
//   [docker://|https://|http://]HOST[:PORT]/NAME[:TAG][@sha256:<64 hex digits>]
// The grammar of NAME and TAG is that of the OCI distribution spec ("Pulling manifests"). Without a scheme it is https.
#ifndef COFFER_IMAGE_REGISTRY_REFERENCE_H
#define COFFER_IMAGE_REGISTRY_REFERENCE_H

#include "image/blobs.h"

#include <stdbool.h>

enum { REFERENCE_HOST = 262, REFERENCE_NAME = 256, REFERENCE_TAG = 129, REFERENCE_PINNED = 740 };

struct reference {
	bool is_plain;             // http://
	char host[REFERENCE_HOST]; // with its port, if it has one
	char name[REFERENCE_NAME]; // of the repository
	char tag[REFERENCE_TAG];   // "": there is none
	char digest[BLOB_DIGEST];  // "": there is none
};

// Whether a user means a registry with it, and no file: it has a scheme, or a first part that is a host's name (with a '.' or a
// port, or localhost).
bool reference_is_one(const char *text);
// ERR_USAGE. It has a tag or a digest.
int reference_parse(const char *text, struct reference *r, struct err *err);
// "HOST/NAME[:TAG]@DIGEST": the same image for ever.
void reference_pinned(const struct reference *r, const char *digest, char pinned[REFERENCE_PINNED]);

// Where a URL leads.
struct origin {
	bool is_plain;
	char host[REFERENCE_HOST]; // with its port, if it is not the scheme's own
};
// `base` is a URL; `location` is another one, or relative to it (RFC 3986). *url is to be freed. ERR_FORMAT: neither http nor https,
// or it has a user or a password in it.
int origin_resolve(const char *base, const char *location, char **url, struct origin *origin, struct err *err);
bool origin_equal(const struct origin *a, const struct origin *b);
// Nobody on another machine sees what is sent there.
bool origin_is_private(const struct origin *o);

#endif
