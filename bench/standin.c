// A compiler that sleeps: says of itself what gcc says, preprocesses a source by copying it, and "compiles" for a second
// without using the processor. What a farm takes with it is the farm's own time. -fsleep=MS is another time.
// With a nice value of 10 or more it is that of a slow machine: -fsleep=MS takes a hundred times as long.
// The object has the source in it, so that it shows whose it is. A source that begins with "//say WORDS" makes it say them.
// Under a name with "real" in it everything but a compile is gcc's own, and it sleeps for units only, not for what coffer compiles to see what
// it looks at: preprocessing real units costs what it costs, and they are compiled in a second.
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *value_of(int argc, char **argv, const char *option)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return argv[i + 1];
	return NULL;
}

static int has(int argc, char **argv, const char *word)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], word, strlen(word)) == 0)
			return i;
	return 0;
}

static void say_who(void)
{
	fputs("Using built-in specs.\nTarget: x86_64-linux-gnu\nThread model: posix\ngcc version 12.2.0 (a stand-in that "
	      "sleeps)\n",
	      stderr);
}

static void say_where(void)
{
	fputs("#include \"...\" search starts here:\n#include <...> search starts here:\n /usr/include\nEnd of search "
	      "list.\n",
	      stderr);
}

static int write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return fd >= 0 && write(fd, p, n) == (ssize_t)n && close(fd) == 0 ? 0 : 1;
}

static int write_text(const char *path, const char *text)
{
	return write_file(path, text, strlen(text));
}

// The source without lines that begin with '#': they are the preprocessor's.
static size_t read_source(const char *path, char *to, size_t room)
{
	char line[4096];
	size_t n = 0;
	FILE *f = fopen(path, "re");
	to[0] = '\0';
	while (f && fgets(line, sizeof line, f)) {
		size_t len = strlen(line);
		if (line[0] == '#' || n + len + 1 > room)
			continue;
		memcpy(to + n, line, len + 1);
		n += len;
	}
	if (f)
		fclose(f);
	return n;
}

// A relocatable file without sections, and the source behind it.
static int write_object(const char *path, const char *source, size_t n)
{
	static struct {
		Elf64_Ehdr head;
		Elf64_Shdr none;
		char source[1 << 16];
	} o = {.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_REL,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_shoff = sizeof(Elf64_Ehdr),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 1}};
	memcpy(o.source, source, n);
	return write_file(path, &o, sizeof o.head + sizeof o.none + n);
}

static const char *source_of(int argc, char **argv)
{
	for (int i = argc - 1; i > 0; i--) {
		const char *dot = strrchr(argv[i], '.');
		if (argv[i][0] != '-' && dot && (strcmp(dot, ".c") == 0 || strcmp(dot, ".i") == 0))
			return argv[i];
	}
	return "none.c";
}

// Also the assembler's, which coffer asks for.
static int write_depfile(int argc, char **argv)
{
	char text[1024];
	int assembler = has(argc, argv, "-Wa,--MD,");
	if (assembler && write_text(strrchr(argv[assembler], ',') + 1, "x.o: x.s\n"))
		return 1;
	const char *depfile = value_of(argc, argv, "-MF"), *target = value_of(argc, argv, "-MT");
	if (!depfile)
		return 0;
	if (!target)
		target = value_of(argc, argv, "-o");
	snprintf(text, sizeof text, "%s: %s\n", target ? target : "x.o", source_of(argc, argv));
	return write_text(depfile, text);
}

static int compiles(int argc, char **argv)
{
	return has(argc, argv, "-o") && !has(argc, argv, "-E") && !has(argc, argv, "-v") && !has(argc, argv, "-###") &&
	       !has(argc, argv, "-print-");
}

int main(int argc, char **argv)
{
	int is_real = strstr(argv[0], "real") != NULL;
	if (is_real && !compiles(argc, argv)) {
		static char gcc[] = "/usr/bin/gcc"; // it looks for its parts beside that name
		argv[0] = gcc;
		execv(gcc, argv);
		return 127;
	}
	if (argc == 2 && has(argc, argv, "-print-prog-name="))
		return puts(strchr(argv[1], '=') + 1) < 0;
	if (has(argc, argv, "-v")) {
		say_who();
		if (has(argc, argv, "-dM"))
			puts("#define __STDC__ 1");
		else if (has(argc, argv, "-E"))
			say_where();
		return 0;
	}
	if (argc == 2)
		return 0;
	static char source[1 << 16];
	size_t n = read_source(source_of(argc, argv), source, sizeof source);
	if (has(argc, argv, "-E")) {
		printf("# 0 \"%s\"\n%s", source_of(argc, argv), source);
		return write_depfile(argc, argv);
	}
	if (strncmp(source, "//say ", 6) == 0)
		fprintf(stderr, "%.*s\n", (int)strcspn(source + 6, "\n"), source + 6);
	int sleep = has(argc, argv, "-fsleep=");
	long slower = getpriority(PRIO_PROCESS, 0) >= 10 ? 100 : 1, ms = sleep ? slower * atol(argv[sleep] + 8)
									 : is_real && n < 200 ? 0
											      : 1000;
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
	const char *output = value_of(argc, argv, "-o");
	return output ? write_object(output, source, n) | write_depfile(argc, argv) : 0;
}
