#include "client/farm/object.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A number of the file, in its own order of bytes.
static uint64_t number(const uint8_t *p, size_t bytes, bool is_big)
{
	uint64_t x = 0;
	for (size_t i = 0; i < bytes; i++)
		x = x << 8 | p[is_big ? i : bytes - 1 - i];
	return x;
}

#define FIELD(type, field) number(p + offsetof(type, field), sizeof(((type *)0)->field), is_big)

struct sections {
	uint64_t at, count, size; // the table: its place, entries, bytes of one
};

static bool is_relocatable(const uint8_t *p, size_t n, bool is_64, bool is_big, struct sections *s)
{
	if (n < (is_64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)) || p[EI_VERSION] != EV_CURRENT ||
	    FIELD(Elf64_Ehdr, e_type) != ET_REL) // the same place in both classes
		return false;
	s->at = is_64 ? FIELD(Elf64_Ehdr, e_shoff) : FIELD(Elf32_Ehdr, e_shoff);
	s->size = is_64 ? FIELD(Elf64_Ehdr, e_shentsize) : FIELD(Elf32_Ehdr, e_shentsize);
	s->count = is_64 ? FIELD(Elf64_Ehdr, e_shnum) : FIELD(Elf32_Ehdr, e_shnum);
	if (s->size != (is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) || s->at > n || n - s->at < s->size)
		return false;
	// More than 65279 sections: the first entry has the number.
	p += s->at;
	if (s->count == 0)
		s->count = is_64 ? FIELD(Elf64_Shdr, sh_size) : FIELD(Elf32_Shdr, sh_size);
	return s->count > 0 && s->count <= (n - s->at) / s->size;
}

static bool is_within(const uint8_t *p, size_t n, bool is_64, bool is_big)
{
	if ((is_64 ? FIELD(Elf64_Shdr, sh_type) : FIELD(Elf32_Shdr, sh_type)) == SHT_NOBITS)
		return true;
	uint64_t at = is_64 ? FIELD(Elf64_Shdr, sh_offset) : FIELD(Elf32_Shdr, sh_offset);
	uint64_t size = is_64 ? FIELD(Elf64_Shdr, sh_size) : FIELD(Elf32_Shdr, sh_size);
	return at <= n && size <= n - at;
}

static bool is_of_elf(const char *target)
{
	static const char *const others[] = {"mingw", "cygwin", "windows", "darwin", "macos", "wasm", "aix"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strstr(target, others[i]))
			return false;
	return true;
}

int object_check(const char *target, const void *object, size_t n, struct err *err)
{
	const uint8_t *p = object;
	struct sections s;
	if (n == 0)
		return err_set(err, ERR_FORMAT, "the object is empty");
	if (!is_of_elf(target))
		return 0;
	if (n < EI_NIDENT || memcmp(p, ELFMAG, SELFMAG) != 0)
		return err_set(err, ERR_FORMAT, "the object is no object");
	bool is_64 = p[EI_CLASS] == ELFCLASS64, is_big = p[EI_DATA] == ELFDATA2MSB;
	if (!is_relocatable(p, n, is_64, is_big, &s))
		return err_set(err, ERR_FORMAT, "the object is not whole");
	for (uint64_t i = 1; i < s.count; i++) // the first one is no section
		if (!is_within(p + s.at + i * s.size, n, is_64, is_big))
			return err_set(err, ERR_FORMAT, "a section of the object is not in it");
	return 0;
}

bool object_is_packed(const void *object, size_t n)
{
	const uint8_t *p = object;
	struct sections s;
	if (n < EI_NIDENT || memcmp(p, ELFMAG, SELFMAG) != 0)
		return false;
	bool is_64 = p[EI_CLASS] == ELFCLASS64, is_big = p[EI_DATA] == ELFDATA2MSB;
	if (!is_relocatable(p, n, is_64, is_big, &s))
		return false;
	p += s.at;
	for (uint64_t i = 1; i < s.count; i++) {
		p += s.size;
		if ((is_64 ? FIELD(Elf64_Shdr, sh_flags) : FIELD(Elf32_Shdr, sh_flags)) & SHF_COMPRESSED)
			return true;
	}
	return false;
}
