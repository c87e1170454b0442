// Lists of entries as XML: what S3 answers to ListObjectsV2, and a web server to PROPFIND (RFC 4918). Parsed by expat. It comes
// from a server that may lie: no document type (so no entities), names and values of bounded length. Thread: any.
#ifndef COFFER_STORE_REMOTE_LISTING_H
#define COFFER_STORE_REMOTE_LISTING_H

#include "store/tier.h"

enum { LISTING_TOKEN = 2048 };

enum listing_kind { LISTING_S3, LISTING_DAV };
struct listing {
	enum listing_kind kind;
	enum tier_space space;
	tier_item_fn *fn; // is shown what has a name, a size and a time; others' things are left out
	void *arg;
	char next[LISTING_TOKEN]; // filled in: where S3 wants to be asked on; "": this was all
};
// 0; -1: ERR_FORMAT, or what `fn` ended it with.
int listing_parse(struct listing *l, const char *xml, size_t n, struct err *err);

#endif
