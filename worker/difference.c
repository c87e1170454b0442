#include "worker/difference.h"

#include <gelf.h>
#include <string.h>

static size_t first_difference(const void *was, size_t n_was, const void *now, size_t n_now)
{
	const char *a = was, *b = now;
	size_t n = n_was < n_now ? n_was : n_now, i = 0;
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

struct object {
	Elf *elf; // NULL: it is no ELF object
	size_t names;
};

static void object_open(struct object *o, const struct buf *bytes)
{
	o->elf = elf_memory(bytes->data, bytes->len);
	if (o->elf && (elf_kind(o->elf) != ELF_K_ELF || elf_getshdrstrndx(o->elf, &o->names) != 0)) {
		elf_end(o->elf);
		o->elf = NULL;
	}
}

struct section {
	const char *name; // NULL: there is no such section
	GElf_Shdr header;
	const void *bytes;
	size_t n;
};

static struct section section_of(const struct object *o, size_t index)
{
	struct section s = {0};
	Elf_Scn *section = elf_getscn(o->elf, index);
	if (!section || !gelf_getshdr(section, &s.header))
		return s;
	const char *name = elf_strptr(o->elf, o->names, s.header.sh_name);
	const Elf_Data *data = s.header.sh_type == SHT_NOBITS ? NULL : elf_rawdata(section, NULL);
	s.name = name ? name : "?";
	s.bytes = data && data->d_buf ? data->d_buf : "";
	s.n = data && data->d_buf ? data->d_size : 0;
	return s;
}

// False: these two are equal.
static bool say_section(const struct section *was, const struct section *now, struct buf *words)
{
	if (strcmp(was->name, now->name) != 0) {
		buf_addf(words, "section '%.60s' was '%.60s'", now->name, was->name);
		return true;
	}
	size_t at = first_difference(was->bytes, was->n, now->bytes, now->n);
	if (at < was->n || at < now->n) {
		buf_addf(words, "section '%.60s' differs at byte %zu of %zu", now->name, at, now->n);
		if (now->n != was->n)
			buf_addf(words, ", it had %zu", was->n);
		return true;
	}
	if (was->header.sh_type != now->header.sh_type || was->header.sh_flags != now->header.sh_flags ||
	    was->header.sh_size != now->header.sh_size || was->header.sh_addralign != now->header.sh_addralign) {
		buf_addf(words, "section '%.60s' has another kind, size or alignment", now->name);
		return true;
	}
	return false;
}

// A hostile object could have many sections that all have the same bytes.
enum { MOST_SECTIONS = 4096, MOST_BYTES = 1 << 30 };

static bool say_sections(const struct object *was, const struct object *now, struct buf *words)
{
	size_t bytes = 0;
	for (size_t i = 1; i < MOST_SECTIONS && bytes < MOST_BYTES; i++) {
		struct section a = section_of(was, i), b = section_of(now, i);
		if (!a.name && !b.name)
			return false;
		if (!a.name || !b.name) {
			buf_addf(words, "section '%.60s' is %s", a.name ? a.name : b.name, a.name ? "gone" : "new");
			return true;
		}
		if (say_section(&a, &b, words))
			return true;
		bytes += a.n;
	}
	return false;
}

void difference_say(const struct buf *was, const struct buf *now, struct buf *words)
{
	struct object a = {0}, b = {0};
	elf_version(EV_CURRENT);
	object_open(&a, was);
	object_open(&b, now);
	bool is_said = a.elf && b.elf && say_sections(&a, &b, words);
	if (!is_said)
		buf_addf(words, "it differs at byte %zu of %zu", first_difference(was->data, was->len, now->data, now->len),
			 now->len);
	elf_end(a.elf);
	elf_end(b.elf);
}
