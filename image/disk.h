// An image as one read-only file system (erofs), for a virtual machine: the same bytes for the same files, whoever makes it and
// whenever, by the same mkfs.erofs. Thread: any.
#ifndef COFFER_IMAGE_DISK_H
#define COFFER_IMAGE_DISK_H

#include "image/image.h"

#define DISK_MKFS "/usr/bin/mkfs.erofs"

// Makes the file `disk` (0444), whole or not at all. ERR_NOT_FOUND: there is no such program.
int disk_make(const char *mkfs, const char *rootfs, const char *disk, struct err *err);
// A copy of the image's own disk (a link where that can be) under another name, with the digest that was recorded when it was
// made. 1; 0: the image has none; -1: ERR_FORMAT: it is no longer that one.
int disk_copy(const char *images, const char *name, const char *to, struct err *err);

#endif
