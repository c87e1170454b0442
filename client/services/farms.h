// The farms that the settings of jobs name: one for each, made when it is first asked for. Thread: any.
#ifndef COFFER_CLIENT_SERVICES_FARMS_H
#define COFFER_CLIENT_SERVICES_FARMS_H

#include "client/farm/farm.h"
#include "compiler/cmdline.h"
#include "compiler/compiler.h"
#include "compiler/travel.h"

struct farms;
struct farms *farms_new(void);
// NULL: none, or it can't be used, which is logged once; after 10 s it is tried again.
struct farm *farms_find(struct farms *fs, const struct settings *config);
// What a worker must have to compile for this compiler: asked of it once. Fills *out except the name; -1 if it does
// not tell.
int farms_compiler(struct farms *fs, const struct compiler *compiler, const char *language, const char *const *env,
		   struct farm_compiler *out);
// The same for who asks but once: nothing is remembered.
int farms_ask_compiler(const struct compiler *compiler, const char *language, const char *const *env,
		       struct farm_compiler *out);
// What gcc's native words mean on this machine, once for each compiler; in the arena. -1: not understood.
int farms_resolve_native(struct farms *fs, const struct compiler *compiler, const char *const *env, struct arena *a,
			 struct travel_arguments *words);
void farms_status(struct farms *fs, struct buf *out); // their objects with commas between

#endif
