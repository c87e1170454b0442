// What the text of one source or header can do, found in one pass over the bytes, without a preprocessor.
//
// Comments are told from code and from literals first. Where that depends on the language version (raw strings, digit
// separators, trigraphs), the text counts as each of them. Within what is left the scanner errs on the side of seeing too much:
// dead branches count. It must never see too little: what it can't read for certain sets a fact (computed, unknown_probe).
// Line splices (backslash newline), comments between words, the digraph %: and the trigraph ??= are understood.
//
// It takes the text as ASCII or a superset of it: where -finput-charset says otherwise, or -traditional-cpp changes what a
// token is, nothing here holds; nor where // begins no comment (-std=c90) and what stands behind it counts. Words pasted
// together over several files are seen where the list of facts says so, words out of single letters are not; nor that a word
// within `#define HAS __has_include(<a/b.h>)` is a macro itself.
// Thread: any.
#ifndef COFFER_DEPSCAN_SCAN_H
#define COFFER_DEPSCAN_SCAN_H

#include "base/buf.h"
#include "codec/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum include_form {
	INCLUDE_QUOTED, // "x.h": the includer's directory first
	INCLUDE_ANGLED, // <x.h>
	INCLUDE_MACRO,  // NAME: what a macro of this name stands for, if there is one
};
struct include {
	const char *name; // owned by the scan
	enum include_form form;
	bool next;  // #include_next, __has_include_next: the search starts somewhere inside the path
	bool probe; // only asked for (__has_include): its presence counts, not its text
	// With `probe`: in brackets on the line of an #if, and asked for if the word before it is one of the macros that are
	// noted as INCLUDE_MACRO with `probe`: `#define HAS(x) __has_include(x)`. With `next` such a macro is one of __has_include_next,
	// and what it asks for is not known.
	bool wrapped;
};

enum scan_fact {
#define FACT(name, bit) FACT_##name = 1 << (bit),
#include "depscan/facts.def"
#undef FACT
};

struct scan {
	struct include *includes; // each (name, form, next, probe) once
	unsigned n_includes;
	uint32_t facts;  // FACT_*
	uint32_t quoted; // the same, said in string literals: they count if any input has FACT_open_pragma
	// The text without what can't change an object: comments become blanks, except those that steer warnings ("fall
	// through" in any spelling) or that compilers warn about. Every token's line and column count. Two files with one
	// code digest differ only in comments and trailing blanks.
	//
	// Only for C, C++ and Objective-C where // begins a comment: never for assembler sources, -std=c89, c90,
	// iso9899:199409, -ansi. And not where comments or blanks reach the result another way: any diagnostics (they quote
	// source lines), clang -g (MD5 of the files in DWARF 5), -gembed-source, -fcoverage-mapping (clang),
	// -Wdocumentation,
	// -fparse-all-comments, -Wimplicit-fallthrough=1, -Wtrailing-whitespace, -Xclang -verify, -C, -CC.
	struct digest code;
};

#define SCAN_MAX_INCLUDES 20000u // more set FACT_computed or FACT_unknown_probe, as does a name that is too long
#define SCAN_MAX_NAME 4095u

void scan_text(struct scan *s, const char *text, size_t len); // never fails
void scan_release(struct scan *s);

// Could this text define the macro, as far as its words tell?
bool scan_may_define(const char *text, size_t len, const char *name);
// Adds to `values` what this text may define the macro as, each with its NUL, if these are single words; else false.
bool scan_values(const char *text, size_t len, const char *name, struct buf *values);
// Could it use the macro for anything that is not noted as `wrapped`?
bool scan_may_ask(const char *text, size_t len, const char *name);
// Could it use the macro at all?
bool scan_may_use(const char *text, size_t len, const char *name);

// `CAT(HA, S)(<x.h>)` uses HAS without its name. Only words of directives can be joined so. Has the text one that the name begins
// with, and that is not all of it?
bool scan_may_begin(const char *text, size_t len, const char *name);
#define SCAN_PIECED_NAME 63u // longer names are not taken apart
// Notes the words of a text's directives that are part of the name: bit n - 1 of pieces[i] is a word of n characters that stands at its i-th.
void scan_pieces(const char *text, size_t len, const char *name, uint64_t pieces[SCAN_PIECED_NAME]);
// Could two or more of these be joined to the name?
bool scan_is_pieced(const char *name, const uint64_t pieces[SCAN_PIECED_NAME]);

#endif
