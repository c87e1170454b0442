// The environment variables that travel with a job: those that can change what gcc or clang do or print, those that say
// where programs and headers are found, and coffer's own. Nothing else leaves the launcher: build environments are full of
// passwords and tokens.
//
// Who adds a compiler (or a wrapper around one) that reads further variables adds them here; a wrapper script of unknown
// kind can read anything, so its compiles cannot be known from these alone. Thread: any.
#ifndef COFFER_CLIENT_WIRE_ENV_NAMES_H
#define COFFER_CLIENT_WIRE_ENV_NAMES_H

#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

static const char *const env_names[] = {
	// Where files are looked for and made.
	"PATH",
	"PWD",
	"HOME",
	"TMPDIR",
	"TMP",
	"TEMP",
	"CPATH",
	"C_INCLUDE_PATH",
	"CPLUS_INCLUDE_PATH",
	"OBJC_INCLUDE_PATH",
	"OBJCPLUS_INCLUDE_PATH",
	"COMPILER_PATH",
	"LIBRARY_PATH",
	"LD_RUN_PATH",
	"STAGING_DIR",
	// What is made.
	"SOURCE_DATE_EPOCH",
	"DEPENDENCIES_OUTPUT",
	"SUNPRO_DEPENDENCIES",
	"GNUTARGET",
	"LDEMULATION",
	"ZERO_AR_DATE",
	"SDKROOT",
	"MACOSX_DEPLOYMENT_TARGET",
	"IPHONEOS_DEPLOYMENT_TARGET",
	"TVOS_DEPLOYMENT_TARGET",
	"WATCHOS_DEPLOYMENT_TARGET",
	"XROS_DEPLOYMENT_TARGET",
	"DRIVERKIT_DEPLOYMENT_TARGET",
	"QA_OVERRIDE_GCC3_OPTIONS",
	"FORCE_CLANG_DIAGNOSTICS_CRASH",
	"POSIXLY_CORRECT",
	"CUDA_PATH",
	"HIP_PATH",
	"ROCM_PATH",
	// How messages look.
	"LANG",
	"LANGUAGE",
	"TERM",
	"TERM_URLS",
	"NO_COLOR",
	"COLORTERM",
	"COLUMNS",
	// What is loaded into the compiler.
	"LD_PRELOAD",
	"LD_LIBRARY_PATH",
	"LD_AUDIT",
};

static const char *const env_prefixes[] = {
	"GCC_",          "COLLECT_", // gcc
	"CCC_",          "CLANG_",      "CC_PRINT_",    "CC_LOG_DIAGNOSTICS",
	"RC_DEBUG_",     "LLVM_", // clang
	"LC_",           "CLICOLOR",    "XDG_",         "COFFER_",
	"QNX_",          "NVCC_",       "AFL_", // nvcc; afl-clang-fast
	"NIX_CC",        "NIX_CFLAGS",  "NIX_CXX",      "NIX_LDFLAGS",
	"NIX_HARDENING", "NIX_ENFORCE", "NIX_BINTOOLS", "NIX_DEBUG", // Nix
};

// Whether NAME=value travels.
static inline bool env_travels(const char *entry)
{
	size_t n = strcspn(entry, "=");
	if (entry[n] != '=')
		return false;
	for (size_t i = 0; i < COUNT_OF(env_names); i++)
		if (env_names[i][0] == entry[0] && strncmp(entry, env_names[i], n) == 0 && env_names[i][n] == '\0')
			return true;
	for (size_t i = 0; i < COUNT_OF(env_prefixes); i++)
		if (env_prefixes[i][0] == entry[0] && strncmp(entry, env_prefixes[i], strlen(env_prefixes[i])) == 0)
			return true;
	return false;
}

#endif
