#include "client/job/facts.h"
#include "client/job/dates.h"

#include <stdlib.h>
#include <string.h>

// The facts for which a compile is not cached, in the order in which they are looked at.
static const struct {
	uint32_t fact;
	enum reason reason;
} refused[] = {
	{FACT_pragma_dependency, REASON_pragma},
	{FACT_odd_pragma, REASON_pragma},
	{FACT_unknown_probe, REASON_unknown_probe},
	{FACT_modules, REASON_modules},
	{FACT_embed, REASON_embed},
	{FACT_asm_embeds, REASON_embed},
	{FACT_asm_hints, REASON_embed},
	{FACT_asm_text, REASON_embed},
	{FACT_incbin, REASON_embed},
	{FACT_asm_include, REASON_embed},
	{FACT_asm_parts, REASON_embed},
	{FACT_asm_macros, REASON_embed},
	{FACT_timestamp, REASON_time_macros},
};

enum {
	FACTS_PRAGMA = FACT_pragma_dependency | FACT_odd_pragma,
	FACTS_DATE = FACT_date | FACT_time,
	FACTS_ASM = FACT_asm_embeds | FACT_asm_hints | FACT_asm_text,
	FACTS_ASSEMBLER = FACT_incbin | FACT_asm_include | FACT_asm_parts | FACT_asm_macros,
};

static bool is_of_system(const struct input *i)
{
	return strncmp(i->path, "/usr/", 5) == 0;
}

// What the text of one input says by itself. Texts of the system are taken as they are, where they do nothing at once.
static uint32_t facts_of(const struct input *i)
{
	uint32_t f = i->facts.scan.facts;
	if (is_of_system(i))
		return f & ~(uint32_t)(FACT_asm_hints | FACT_asm_label | FACT_asm_macros | FACT_dunder | FACT_modules);
	return f & FACT_asm_label ? f | FACT_asm_open : f;
}

// Is this a compile to which `import` and `module` are more than names? Clang takes `import` without another word since C++20.
static bool knows_modules(struct inputs *in)
{
	const char *version;
	if (in->plan->line.modules_directory)
		return true;
	return in->plan->compiler->family == FAMILY_CLANG && in->plan->line.lang == LANG_CXX &&
	       macros_builtin(in, "__cplusplus", &version) && (!version || strtol(version, NULL, 10) > 201703L);
}

// May an assembler read files by what the sources say? gcc's `-S` copies the text of asm statements; clang's parses it there too.
static bool reads_by_assembler(const struct plan *p)
{
	return p->line.assembles || p->compiler->family != FAMILY_GCC;
}

// The facts that count in this compile; `all` is what all of its inputs say.
static uint32_t facts_that_count(struct inputs *in, uint32_t all, bool assembler_listed)
{
	bool assembler = in->plan->line.lang == LANG_ASM || in->plan->line.lang == LANG_ASM_CPP;
	uint32_t count = FACTS_PRAGMA | FACT_unknown_probe | FACT_embed | FACTS_DATE | FACT_timestamp;
	if (all & FACT_dunder)
		count |= FACT_date_core | FACT_stamp_core;
	if ((all & FACT_modules) && knows_modules(in))
		count |= FACT_modules;
	if (!assembler_listed && (assembler || reads_by_assembler(in->plan)))
		count |= assembler ? FACTS_ASSEMBLER : all & FACT_asm_open ? FACTS_ASM : FACTS_ASM & ~FACT_asm_text;
	return count;
}

// What an input says that counts: `DATE`, where underscores are put around it, is __DATE__.
static uint32_t facts_in(const struct input *i, uint32_t count, uint32_t all)
{
	uint32_t f = facts_of(i);
	if (all & FACT_open_pragma)
		f |= i->facts.scan.quoted & (FACTS_PRAGMA | FACTS_DATE | FACT_timestamp);
	f &= count;
	return f | (f & FACT_date_core ? FACT_date : 0) | (f & FACT_stamp_core ? FACT_timestamp : 0);
}

static enum reason refusal_of(uint32_t facts)
{
	for (size_t i = 0; i < COUNT_OF(refused); i++)
		if (facts & refused[i].fact)
			return refused[i].reason;
	return REASON_NONE;
}

// A word, or for -DNAME=TEXT the text alone: "-D__DATE__=" takes the macro away.
static const char *definition(const struct cmdline *l, unsigned i)
{
	const char *t = l->arguments[i].text;
	bool is_define = strncmp(t, "-D", 2) == 0 || (i && strcmp(l->arguments[i - 1].text, "-D") == 0);
	const char *equals = is_define ? strchr(t, '=') : NULL;
	return equals ? equals + 1 : is_define ? "" : t;
}

// A definition, or what goes to the preprocessor or the assembler; not the name of a file or a directory.
static bool gives_text(const struct cmdline *l, unsigned i, const char *definition)
{
	const char *t = l->arguments[i].text;
	return definition != t || strncmp(t, "-W", 2) == 0 || (i && strncmp(l->arguments[i - 1].text, "-X", 2) == 0);
}

// What definitions on the command line say. `asm` may be the keyword of a statement in any text.
static uint32_t facts_of_arguments(const struct cmdline *l)
{
	uint32_t f = 0;
	for (unsigned i = 0; i < l->n_arguments; i++) {
		const char *t = definition(l, i);
		if (strstr(t, "__DATE__") || strstr(t, "__TIME__") || strstr(t, "##"))
			f |= FACT_date;
		if (strstr(t, "__TIMESTAMP__"))
			f |= FACT_timestamp;
		if (gives_text(l, i, t) && strstr(t, "incbin"))
			f |= FACT_asm_embeds | FACT_incbin;
		if ((t != l->arguments[i].text || strncmp(t, "-Wp,", 4) == 0) && strstr(t, "asm"))
			f |= FACT_asm_open;
		if (strstr(t, "_Pragma"))
			f |= FACT_open_pragma;
	}
	return f;
}

void facts_check(struct inputs *in, bool assembler_listed, struct manifest_entry *entry)
{
	const struct plan *p = in->plan;
	const char *culprit = NULL;
	uint32_t arguments = facts_of_arguments(&p->line), all = arguments, found = 0;
	for (uint32_t i = 0; i < in->n; i++)
		all |= facts_of(&in->list[i]);
	uint32_t count = facts_that_count(in, all, assembler_listed);
	for (uint32_t i = 0; i < in->n && !is_refused(in->refusal); i++) {
		uint32_t facts = facts_in(&in->list[i], count, all);
		if (facts)
			culprit = in->list[i].path;
		found |= facts;
		in->refusal = refuse(refusal_of(facts), culprit);
	}
	found |= arguments & count;
	if (!is_refused(in->refusal))
		in->refusal = refuse(refusal_of(found), culprit);
	if (is_refused(in->refusal) || !(found & FACTS_DATE))
		return;
	if (digest_is_zero(&p->time_context) && !dates_reach(in))
		return;
	if (digest_is_zero(&p->time_context) || p->line.makes_pch)
		in->refusal = refuse(REASON_time_macros, culprit);
	else
		entry->time_context = p->time_context;
}
