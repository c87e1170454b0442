#include "base/file.h"
#include "compiler/cmdline_parts.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>

// gcc's spec files. The distributions give one to every compile, to choose between -fPIE and -fPIC by what else is said:
//
//	*self_spec:
//	+ %{!fpie:%{!fPIE:%{!fno-pic:-fPIE}}}
//
// Such a file is an input. What could do more than add harmless options is not read further.

enum { SPECS_MAX = 64 << 10 };

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-+_=.,", c));
}

// Options that only steer the code, or only the linker. Others look at the words of the command, and not at these.
static bool is_harmless(const char *word)
{
	static const char *const code[] = {
		"PIC",
		"PIE",
		"pic",
		"pie",
		"plt",
		"common",
		"exceptions",
		"stack-protector",
		"stack-clash-protection",
		"cf-protection",
		"asynchronous-unwind-tables",
		"unwind-tables",
		"omit-frame-pointer",
		"strict-aliasing",
		"trivial-auto-var-init=",
		"zero-call-used-regs=",
	};
	static const char *const linker[] = {"-pie", "-no-pie", "-static-pie", "-static", "-shared"};
	for (size_t i = 0; i < COUNT_OF(linker); i++)
		if (strcmp(word, linker[i]) == 0)
			return true;
	const char *flag = strncmp(word, "-fno-", 5) == 0 ? word + 5 : strncmp(word, "-f", 2) == 0 ? word + 2 : "";
	for (size_t i = 0; i < COUNT_OF(code); i++)
		if (strncmp(flag, code[i], strlen(code[i])) == 0)
			return true;
	return false;
}

// What is added under conditions, which nest: %{!a:%{b|c:-x;d:-y}}. All else that follows a % runs or reads something.
static bool is_harmless_text(struct arena *a, const char *s)
{
	unsigned depth = 0;
	bool in_condition = false;
	while (*s) {
		size_t n = 1;
		if (in_condition && *s == ':') {
			in_condition = false;
		} else if (depth && *s == '}') {
			depth--;
			in_condition = false;
		} else if (in_condition) {
			if (!is_word_char(*s) && !strchr("!|&*", *s))
				return false;
		} else if (s[0] == '%' && s[1] == '{') {
			n = 2;
			depth++;
			in_condition = true;
		} else if (depth && *s == ';') {
			in_condition = true;
		} else if (*s == '-') {
			while (is_word_char(s[n]))
				n++;
			if (!is_harmless(arena_strndup(a, s, n)))
				return false;
		} else if (*s != ' ' && *s != '\t') {
			return false;
		}
		s += n;
	}
	return depth == 0;
}

// "*self_spec:", and a line that begins with a plus: without it the text would stand in the place of gcc's own.
bool specs_are_harmless(struct arena *a, const char *text, size_t len)
{
	static const char *const sections[] = {"*self_spec:", "*cc1_options:", "*cc1:", "*cc1plus:"};
	char *copy = arena_strndup(a, text, len), *next;
	bool in_section = false;
	if (strlen(copy) != len)
		return false;
	for (char *line = copy; line; line = next) {
		if ((next = strchr(line, '\n')))
			*next++ = '\0';
		if (in_section) {
			// A second line would be a second command.
			if (line[0] != '+' || line[1] != ' ' || (next && *next && *next != '\n') ||
			    !is_harmless_text(a, line + 2))
				return false;
			in_section = false;
		} else if (line[0]) {
			for (size_t i = 0; i < COUNT_OF(sections) && !in_section; i++)
				in_section = strcmp(line, sections[i]) == 0;
			if (!in_section)
				return false;
		}
	}
	return !in_section;
}

// gcc looks for relative names in its own directories first.
void apply_specs(struct parser *p, const struct use *u)
{
	AUTO_BUF struct buf text = BUF_INIT;
	p->c->arguments[u->value_word].role = ARGUMENT_KEY_PATH;
	p->c->arguments[u->value_word].prefix = u->prefix;
	if (u->value[0] == '/' && file_read(AT_FDCWD, u->value, SPECS_MAX, &text, NULL, NULL) == 0 && text.data &&
	    specs_are_harmless(p->arena, text.data, text.len))
		parser_add_extra(p, u->value);
	else
		parser_refuse(p, REASON_option_dangerous, u->text);
}
