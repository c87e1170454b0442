#include "reapi/digest.h"

int reapi_digest_read(const Reapi__Digest *m, struct reapi_digest *d, struct err *err)
{
	if (!m)
		return err_set(err, ERR_FORMAT, "a digest is missing");
	if (!sha256_parse(m->hash, &d->hash))
		return err_set(err, ERR_FORMAT, "'%.80s' is no SHA-256: 64 lower hex digits", m->hash);
	if (m->size_bytes < 0)
		return err_set(err, ERR_FORMAT, "a digest with a negative size");
	d->size = m->size_bytes;
	return 0;
}

struct reapi_digest reapi_digest_of(const void *p, size_t n)
{
	return (struct reapi_digest){sha256_of(p, n), (int64_t)n};
}

bool reapi_digest_is_empty(const struct reapi_digest *d)
{
	static const struct sha256 nothing = {{0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
					       0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
					       0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}};
	return d->size == 0 && sha256_equal(&d->hash, &nothing);
}

void reapi_digest_write(const struct reapi_digest *d, struct reapi_digest_message *m)
{
	reapi__digest__init(&m->m);
	sha256_hex(&d->hash, m->text);
	m->m.hash = m->text;
	m->m.size_bytes = d->size;
}

int reapi_check_function(int function, struct err *err)
{
	if (function == 0 || function == REAPI_SHA256)
		return 0;
	return err_set(err, ERR_FORMAT, "the digest function %d is not taken here: SHA-256 is", function);
}
