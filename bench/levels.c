// What each level of zstd makes of texts, and how long it takes: `levels FILE...` prints a line `LEVEL PACKED_BYTES PACK_MS
// UNPACK_MS` for each level, over all files. Compresses as the client does (pieces of 128 KiB, a context that is used again,
// the size not known before the end) and unpacks as the worker does (32 KiB at a time). CPU of this process, the least of
// ROUNDS for each file.
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

enum { PIECE = 128 * 1024, UNPACKED_PIECE = 32 * 1024, ROUNDS = 5 };

static double cpu_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *or_die(void *p, const char *what)
{
	if (p)
		return p;
	fprintf(stderr, "coffer: no %s\n", what);
	exit(1);
}

struct text {
	char *p;
	size_t n;
};

static struct text read_text(const char *path)
{
	FILE *f = or_die(fopen(path, "rb"), path);
	struct stat st;
	struct text t = {NULL, 0};
	if (fstat(fileno(f), &st) == 0) {
		t.p = or_die(malloc((size_t)st.st_size + 1), "memory");
		t.n = fread(t.p, 1, (size_t)st.st_size, f);
	}
	fclose(f);
	return t;
}

static size_t pack(ZSTD_CCtx *c, int level, struct text t, struct text to)
{
	ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	ZSTD_outBuffer out = {to.p, to.n, 0};
	for (size_t at = 0; at < t.n || at == 0; at += PIECE) {
		ZSTD_inBuffer in = {t.p + at, t.n - at < PIECE ? t.n - at : PIECE, 0};
		if (ZSTD_isError(ZSTD_compressStream2(c, &out, &in, at + PIECE >= t.n ? ZSTD_e_end : ZSTD_e_continue)))
			exit(1);
	}
	return out.pos;
}

static void unpack(ZSTD_DCtx *d, struct text packed)
{
	static char to[UNPACKED_PIECE];
	ZSTD_inBuffer in = {packed.p, packed.n, 0};
	size_t left = 1;
	while (left) {
		ZSTD_outBuffer out = {to, sizeof to, 0};
		left = ZSTD_decompressStream(d, &out, &in);
		if (ZSTD_isError(left))
			exit(1);
	}
}

int main(int argc, char **argv)
{
	static const int levels[] = {-5, -3, -1, 1, 2, 3, 4, 5, 6, 9};
	struct text *texts = or_die(calloc((size_t)argc, sizeof *texts), "memory");
	ZSTD_CCtx *c = or_die(ZSTD_createCCtx(), "context");
	ZSTD_DCtx *d = or_die(ZSTD_createDCtx(), "context");
	for (int i = 1; i < argc; i++)
		texts[i] = read_text(argv[i]);
	for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
		double packing = 0, unpacking = 0;
		size_t bytes = 0;
		for (int i = 1; i < argc; i++) {
			struct text to = {or_die(malloc(ZSTD_compressBound(texts[i].n)), "memory"),
					  ZSTD_compressBound(texts[i].n)};
			double least_pack = 1e9, least_unpack = 1e9;
			size_t n = 0;
			for (int round = 0; round < ROUNDS; round++) {
				double a = cpu_ms();
				n = pack(c, levels[l], texts[i], to);
				double b = cpu_ms();
				unpack(d, (struct text){to.p, n});
				double e = cpu_ms();
				least_pack = b - a < least_pack ? b - a : least_pack;
				least_unpack = e - b < least_unpack ? e - b : least_unpack;
			}
			packing += least_pack;
			unpacking += least_unpack;
			bytes += n;
			free(to.p);
		}
		printf("%d %zu %.3f %.3f\n", levels[l], bytes, packing, unpacking);
	}
	return 0;
}
