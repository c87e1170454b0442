#include "base/preload.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_HEADERS = 64, MOST_TAGS = 256, LONGEST_NAME = 255 };

static const char self_file[] = "/proc/self/exe";

// ---- programs ---------------------------------------------------------------------------------------------------------

// Read piece by piece: who asks may have a small stack.
struct elf {
	int fd;
	Elf64_Ehdr header;
};

// A file that can be executed, and does not change the user. -1: it is none, or can't be read.
static int open_executable(const char *path)
{
	struct stat st;
	int fd = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID)) ||
			faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

// A 64-bit file of our byte order.
static bool read_elf(int fd, struct elf *e)
{
	static const unsigned char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	const Elf64_Ehdr *h = &e->header;
	e->fd = fd;
	return pread(fd, &e->header, sizeof *h, 0) == sizeof *h && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 &&
	       h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_ident[EI_DATA] == order &&
	       (h->e_type == ET_EXEC || h->e_type == ET_DYN) && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum > 0 &&
	       h->e_phnum <= MOST_HEADERS;
}

static bool read_header(const struct elf *e, unsigned i, Elf64_Phdr *h)
{
	return i < e->header.e_phnum && pread(e->fd, h, sizeof *h, (off_t)(e->header.e_phoff + i * sizeof *h)) == sizeof *h;
}

static bool find_header(const struct elf *e, uint32_t type, Elf64_Phdr *h)
{
	for (unsigned i = 0; read_header(e, i, h); i++)
		if (h->p_type == type)
			return true;
	return false;
}

// The PT_INTERP string. "": it is static.
static bool read_loader(const struct elf *e, char to[LONGEST_NAME + 1])
{
	Elf64_Phdr h;
	to[0] = '\0';
	if (!find_header(e, PT_INTERP, &h))
		return find_header(e, PT_LOAD, &h);
	return h.p_filesz > 1 && h.p_filesz <= LONGEST_NAME &&
	       pread(e->fd, to, h.p_filesz, (off_t)h.p_offset) == (ssize_t)h.p_filesz && !to[h.p_filesz - 1];
}

// Where in the file an address of the program is. 0: nowhere.
static uint64_t place_of(const struct elf *e, uint64_t address)
{
	Elf64_Phdr h;
	for (unsigned i = 0; read_header(e, i, &h); i++)
		if (h.p_type == PT_LOAD && address >= h.p_vaddr && address - h.p_vaddr < h.p_filesz)
			return address - h.p_vaddr + h.p_offset;
	return 0;
}

static bool is_of_a_sanitizer(const char *library)
{
	static const char *const begun[] = {"libasan.", "libhwasan.", "libtsan.", "liblsan.", "libclang_rt."};
	for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
		if (strncmp(library, begun[i], strlen(begun[i])) == 0)
			return true;
	return false;
}

static bool read_tag(const struct elf *e, const Elf64_Phdr *dynamic, unsigned i, Elf64_Dyn *tag)
{
	return i < MOST_TAGS && (i + 1) * sizeof *tag <= dynamic->p_filesz &&
	       pread(e->fd, tag, sizeof *tag, (off_t)(dynamic->p_offset + i * sizeof *tag)) == sizeof *tag;
}

// What can't be read counts as one that does.
static bool wants_to_be_first(const struct elf *e)
{
	Elf64_Phdr dynamic;
	Elf64_Dyn tag = {0};
	uint64_t names = 0;
	if (!find_header(e, PT_DYNAMIC, &dynamic))
		return true;
	for (unsigned i = 0; !names && read_tag(e, &dynamic, i, &tag); i++)
		if (tag.d_tag == DT_STRTAB)
			names = place_of(e, tag.d_un.d_ptr);
	for (unsigned i = 0; names && read_tag(e, &dynamic, i, &tag); i++) {
		char name[16] = "";
		if (tag.d_tag == DT_NULL)
			return false;
		if (tag.d_tag == DT_NEEDED &&
		    (pread(e->fd, name, sizeof name - 1, (off_t)(names + tag.d_un.d_val)) <= 0 || is_of_a_sanitizer(name)))
			return true;
	}
	return true;
}

// Ours: `loader` gets the name of the loader that this process has.
static bool read_self(struct elf *e, char loader[LONGEST_NAME + 1])
{
	int fd = open(self_file, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && read_elf(fd, e) && read_loader(e, loader);
	if (fd >= 0)
		close(fd);
	return ok;
}

// "/lib64/ld-linux-x86-64.so.2" is glibc's; musl's loader is called ld-musl-….
static bool has_our_loader(int fd)
{
	char theirs[LONGEST_NAME + 1], ours[LONGEST_NAME + 1];
	struct elf e, self;
	return read_elf(fd, &e) && read_loader(&e, theirs) && theirs[0] && read_self(&self, ours) &&
	       e.header.e_machine == self.header.e_machine && strcmp(theirs, ours) == 0 && !wants_to_be_first(&e);
}

bool preload_fits(const char *path)
{
	int fd = open_executable(path);
	bool fits = fd >= 0 && has_our_loader(fd);
	if (fd >= 0)
		close(fd);
	return fits;
}

bool preload_is_program(const char *path)
{
	char loader[LONGEST_NAME + 1], ours[LONGEST_NAME + 1];
	struct elf e, self;
	int fd = open_executable(path);
	bool is_one = fd >= 0 && read_elf(fd, &e) && read_loader(&e, loader) && read_self(&self, ours) &&
		      e.header.e_machine == self.header.e_machine &&
		      (!loader[0] || (loader[0] == '/' && faccessat(AT_FDCWD, loader, X_OK, AT_EACCESS) == 0));
	if (fd >= 0)
		close(fd);
	return is_one;
}

// ---- carriers ---------------------------------------------------------------------------------------------------------

static bool is_carrier_name(const char *file)
{
	static const char *const names[] = {
		"sh",    "bash",          "dash",           "ash",           "zsh",    "ksh",   "mksh",   "busybox",
		"env",   "nice",          "timeout",        "stdbuf",        "ionice", "nohup", "setsid", "time",
		"chrt",  "taskset",       "perl",           "ruby",          "xargs",  "mpicc", "mpicxx", "mpic++",
		"mpiCC", "mpicc.openmpi", "mpicxx.openmpi", "mpic++.openmpi"};
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(base, names[i]) == 0)
			return true;
	return strncmp(base, "python", 6) == 0 && base[6 + strspn(base + 6, "0123456789.")] == '\0';
}

// The word behind "#!". False: there is none, or not all of it was read.
static bool read_interpreter(int fd, char to[LONGEST_NAME + 1])
{
	ssize_t n = pread(fd, to, LONGEST_NAME, 0);
	to[n > 0 ? n : 0] = '\0';
	if (to[0] != '#' || to[1] != '!' || !strchr(to, '\n'))
		return false;
	char *word = to + 2 + strspn(to + 2, " \t");
	word[strcspn(word, " \t\n")] = '\0';
	memmove(to, word, strlen(word) + 1);
	return to[0] == '/';
}

bool preload_fits_carrier(const char *path)
{
	char interpreter[LONGEST_NAME + 1];
	int fd = open_executable(path);
	if (fd < 0)
		return false;
	bool is_script = read_interpreter(fd, interpreter);
	bool fits = is_script ? is_carrier_name(interpreter) && preload_fits(interpreter)
			      : is_carrier_name(path) && has_our_loader(fd);
	close(fd);
	return fits;
}
