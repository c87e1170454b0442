// The toolchains of a worker: unpacked images in a directory, and the host's compilers.
//
// What a worker says it has ("images" towards the scheduler), and what a client may ask for:
//   sha256:<64 hex digits>   an image of that digest
//   host:<32 hex digits>     the host's compiler of that very identity (compiler/compiler.h): the same bytes as the client's
// own
//   host:any                 the host's compilers, whatever they are; the client compares with Worker.Describe
// Thread: any.
#ifndef COFFER_WORKER_IMAGES_H
#define COFFER_WORKER_IMAGES_H

#include "depscan/view.h"
#include "worker/runtime/toolchain.h"

struct images;
// `compilers` are the names of those of the host that are told to the scheduler, NULL-terminated; one that is not there is
// left out. What `config` names must outlive it.
struct images *images_new(const struct toolchain_config *config, const char *const *compilers);
void images_free(struct images *im);

// Looks what there is. The first time it takes about a second, as each of the compilers is asked.
void images_refresh(struct images *im);
// What there was when it was last looked: NULL-terminated, to be freed with images_list_free.
size_t images_list(struct images *im, char ***names);
void images_list_free(char **names);

// What stands for the compiler in keys. ERR_NOT_FOUND: the image is not here, or the compiler is not in it; ERR_USAGE.
int images_identity(struct images *im, const char *image, const char *compiler, char identity[TOOLCHAIN_IDENTITY],
		    struct err *err);
// What a host's compiler reads besides the source: programs, libraries and texts, in the arena. None for an image, and where it
// can't be observed.
#define IMAGE_MAX_FILES 1000u
struct image_file {
	const char *path;
	struct digest digest;
	bool optional; // for another language, or with some option, only
};
struct image_files {
	struct image_file *list;
	size_t n;
};
void images_files(struct images *im, const char *image, const char *compiler, const char *language, struct arena *a,
		  struct image_files *files);
// The image as a session is opened for it: all of the host's compilers share one.
const char *images_session_name(const char *image);

// Version, target and definitions; asked for in the session the first time.
int images_facts(struct images *im, struct runtime_session *session, const char *identity, const char *compiler,
		 const char *language, struct toolchain_facts *facts, struct err *err);

#endif
