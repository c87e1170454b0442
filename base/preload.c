#include "base/preload.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_HEADERS = 64, LONGEST_NAME = 255, SCRIPTS_IN_SCRIPTS = 4 };

// The PT_INTERP string of a 64-bit file of our byte order.
static bool read_loader(int fd, char *to, size_t size)
{
	Elf64_Ehdr eh;
	if (pread(fd, &eh, sizeof eh, 0) != sizeof eh || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned i = 0; i < eh.e_phnum && i < MOST_HEADERS; i++) {
		Elf64_Phdr ph;
		if (pread(fd, &ph, sizeof ph, (off_t)(eh.e_phoff + i * sizeof ph)) != sizeof ph)
			return false;
		if (ph.p_type != PT_INTERP || !ph.p_filesz || ph.p_filesz > size)
			continue;
		return pread(fd, to, ph.p_filesz, (off_t)ph.p_offset) == (ssize_t)ph.p_filesz && !to[ph.p_filesz - 1];
	}
	return false;
}

// What runs a text: the first word behind its "#!", or the shell. False: it is a program.
static bool read_interpreter(int fd, char to[LONGEST_NAME + 1])
{
	ssize_t n = pread(fd, to, LONGEST_NAME, 0);
	to[n > 0 ? n : 0] = '\0';
	if (memcmp(to, ELFMAG, SELFMAG) == 0)
		return false;
	if (to[0] != '#' || to[1] != '!') {
		memcpy(to, "/bin/sh", 8);
		return true;
	}
	char *word = to + 2 + strspn(to + 2, " \t");
	word[strcspn(word, " \t\n")] = '\0';
	memmove(to, word, strlen(word) + 1);
	return true;
}

// `scripts`: so many may lead to the program.
static bool loader_of(const char *path, int scripts, char *to, size_t size)
{
	char interpreter[LONGEST_NAME + 1] = "";
	struct stat st;
	bool found = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID)))
		found = false;
	else if (!read_interpreter(fd, interpreter))
		found = read_loader(fd, to, size);
	else if (scripts > 0)
		found = loader_of(interpreter, scripts - 1, to, size);
	close(fd);
	return found;
}

// "/lib64/ld-linux-x86-64.so.2" is glibc's; musl's loader is called ld-musl-….
static bool has_our_loader(const char *path, int scripts)
{
	char theirs[LONGEST_NAME + 1], ours[LONGEST_NAME + 1];
	return loader_of(path, scripts, theirs, sizeof theirs) && loader_of("/proc/self/exe", 0, ours, sizeof ours) &&
	       strcmp(theirs, ours) == 0;
}

bool preload_fits(const char *path)
{
	return has_our_loader(path, 0);
}

bool preload_fits_script(const char *path)
{
	return has_our_loader(path, SCRIPTS_IN_SCRIPTS);
}
