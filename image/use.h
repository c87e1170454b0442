// Who uses an image, and when it was used last.
//
// Who runs jobs in an image has a shared lock (flock(2)) on its directory: that needs no right to write there. The last use is the
// time of an empty file USES/sha256-<hex>, in a directory of the worker's own. Thread: any.
#ifndef COFFER_IMAGE_USE_H
#define COFFER_IMAGE_USE_H

#include "image/image.h"

// Until *fd is closed nobody removes the image. ERR_NOT_FOUND: it is not there, or is being removed.
int image_hold(const char *images, const char *name, int *fd, struct err *err);
// The same for who removes it. ERR_BUSY: somebody uses it.
int image_claim(const char *images, const char *name, int *fd, struct err *err);
// Best effort: an image whose use cannot be noted is one that is used while it is held. `uses` NULL: nothing is noted.
void image_note_use(const char *uses, const char *name);
// Seconds since 1970: the import, or the newest note in these directories (NULL-terminated). 0: there is no such image.
int64_t image_last_use(const char *images, const char *const *uses, const char *name);

enum image_fate { IMAGE_KEPT, IMAGE_IN_USE, IMAGE_REMOVED };
struct image_gc {
	const char *images;
	const char *const *folders; // of the workers here, NULL-terminated: WORKER_USES and WORKER_DISKS in them
	int64_t unused_s;           // longer than that
	bool is_dry;                // only tells
	void (*tell)(void *ctx, const struct image_info *info, int64_t last_use, enum image_fate fate);
	void *ctx;
};
#define WORKER_USES "images"
#define WORKER_DISKS "scratch/vm"
// Removes images that were not used for so long, and what killed imports and removed images have left behind. One that cannot be
// removed is an error in the end, after all others were.
int image_gc(const struct image_gc *gc, struct err *err);

#endif
