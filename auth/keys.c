#include "auth/keys.h"

#include "base/file.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

enum { SERIAL_BYTES = 16, CLOCK_SLACK_S = 3600 };

// What OpenSSL says, which for keys is never part of a key.
static int fail(struct err *err, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;
	ERR_clear_error();
	return err_set(err, ERR_FORMAT, "%s: %s", what, why ? why : "OpenSSL does not say why");
}

int keys_generate(EVP_PKEY **key, struct err *err)
{
	*key = EVP_EC_gen("P-256");
	return *key ? 0 : fail(err, "cannot make a key");
}

// ---- files --------------------------------------------------------------------------------------------------------

// Ends OpenSSL's question for a passphrase on the terminal: a service has none.
static int no_passphrase(char *to, int room, int is_writing, void *ctx)
{
	(void)to, (void)room, (void)is_writing, (void)ctx;
	return -1;
}

static BIO *read_pem(const char *path, bool is_secret, struct buf *text, struct err *err)
{
	struct stat st;
	text->max = KEYS_MAX_FILE + 1;
	if (file_read(AT_FDCWD, path, KEYS_MAX_FILE, text, &st, err) < 0)
		return NULL;
	if (is_secret && (st.st_mode & S_IROTH)) {
		err_set(err, ERR_ACCESS, "everybody can read the key '%s', so it is not used (chmod o-r)", path);
		return NULL;
	}
	BIO *bio = BIO_new_mem_buf(text->data, (int)text->len);
	if (!bio)
		fail(err, "cannot read PEM");
	return bio;
}

static void forget(struct buf *secret)
{
	if (secret->data)
		OPENSSL_cleanse(secret->data, secret->cap);
	buf_release(secret);
}

int keys_read_private(const char *path, EVP_PKEY **key, struct err *err)
{
	__attribute__((cleanup(forget))) struct buf text = BUF_INIT;
	*key = NULL;
	BIO *bio = read_pem(path, true, &text, err);
	if (!bio)
		return -1;
	*key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (*key)
		return 0;
	AUTO_FREE char *what = mem_printf("'%s' is not a private key in PEM", path);
	return fail(err, what);
}

int keys_read_certificate(const char *path, X509 **certificate, struct err *err)
{
	AUTO_BUF struct buf text = BUF_INIT;
	*certificate = NULL;
	BIO *bio = read_pem(path, false, &text, err);
	if (!bio)
		return -1;
	*certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (*certificate)
		return 0;
	AUTO_FREE char *what = mem_printf("'%s' is not a certificate in PEM", path);
	return fail(err, what);
}

static int write_new(const char *path, BIO *bio, mode_t mode, struct err *err)
{
	char *data;
	long n = BIO_get_mem_data(bio, &data);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_USAGE, "'%s' is there already, and keys are not written over", path);
	if (fd < 0)
		return err_errno(err, "cannot make '%s'", path);
	// The umask may have taken bits that are wanted; it never adds any.
	if (file_write_fd(fd, data, (size_t)n, err) < 0)
		return err_wrap(err, "'%s'", path);
	return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? err_errno(err, "cannot write '%s'", path) : 0;
}

int keys_write_private(const char *path, EVP_PKEY *key, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
		BIO_free(bio);
		return fail(err, "cannot write a key");
	}
	int rc = write_new(path, bio, 0600, err);
	BIO_free(bio);
	return rc;
}

int keys_write_certificate(const char *path, X509 *certificate, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	if (!bio || !PEM_write_bio_X509(bio, certificate)) {
		BIO_free(bio);
		return fail(err, "cannot write a certificate");
	}
	int rc = write_new(path, bio, 0644, err);
	BIO_free(bio);
	return rc;
}

// ---- certificates -------------------------------------------------------------------------------------------------

static bool set_subject(X509 *x, const struct keys_plan *plan)
{
	X509_NAME *name = X509_get_subject_name(x);
	const unsigned char *text = (const unsigned char *)plan->common_name;
	return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, text, -1, -1, 0) &&
	       X509_set_issuer_name(x, plan->issuer ? X509_get_subject_name(plan->issuer) : name);
}

static bool set_serial_and_time(X509 *x, const struct keys_plan *plan)
{
	unsigned char serial[SERIAL_BYTES];
	if (RAND_bytes(serial, sizeof serial) != 1)
		return false;
	serial[0] &= 0x7f; // positive, RFC 5280 4.1.2.2
	serial[0] |= 0x40;
	BIGNUM *n = BN_bin2bn(serial, sizeof serial, NULL);
	bool is_set = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) &&
		      X509_gmtime_adj(X509_getm_notBefore(x), -CLOCK_SLACK_S) &&
		      X509_time_adj_ex(X509_getm_notAfter(x), plan->days, 0, NULL);
	BN_free(n);
	return is_set;
}

static bool add_extension(X509 *x, const struct keys_plan *plan, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, plan->issuer ? plan->issuer : x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool is_added = e && X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return is_added;
}

// By hand and not as a configuration text, in which a ',' in a name would begin another one.
static bool add_name(GENERAL_NAMES *all, const char *name)
{
	static const struct {
		const char *prefix;
		int type;
	} kinds[] = {{"DNS:", GEN_DNS}, {"URI:", GEN_URI}, {"email:", GEN_EMAIL}};
	if (strncmp(name, "IP:", 3) == 0) {
		ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name + 3);
		GENERAL_NAME *g = ip ? GENERAL_NAME_new() : NULL;
		if (g)
			GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
		return g && sk_GENERAL_NAME_push(all, g);
	}
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		size_t n = strlen(kinds[i].prefix);
		if (strncmp(name, kinds[i].prefix, n) != 0)
			continue;
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();
		GENERAL_NAME *g = GENERAL_NAME_new();
		if (!text || !g || !ASN1_STRING_set(text, name + n, -1))
			return false;
		GENERAL_NAME_set0_value(g, kinds[i].type, text);
		return sk_GENERAL_NAME_push(all, g);
	}
	return false;
}

static bool add_names(X509 *x, const struct keys_plan *plan)
{
	if (!plan->n_names)
		return true;
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool is_added = all;
	for (size_t i = 0; is_added && i < plan->n_names; i++)
		is_added = add_name(all, plan->names[i]);
	is_added = is_added && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1;
	GENERAL_NAMES_free(all);
	return is_added;
}

static bool add_extensions(X509 *x, const struct keys_plan *plan)
{
	static const char *const uses[] = {
		[KEYS_SERVER] = "serverAuth", [KEYS_CLIENT] = "clientAuth", [KEYS_PEER] = "serverAuth,clientAuth"};
	if (!add_extension(x, plan, NID_subject_key_identifier, "hash"))
		return false;
	if (plan->role == KEYS_CA)
		return add_extension(x, plan, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		       add_extension(x, plan, NID_key_usage, "critical,keyCertSign,cRLSign");
	return add_extension(x, plan, NID_authority_key_identifier, "keyid:always") &&
	       add_extension(x, plan, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x, plan, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x, plan, NID_ext_key_usage, uses[plan->role]) && add_names(x, plan);
}

int keys_make_certificate(const struct keys_plan *plan, EVP_PKEY *key, X509 **certificate, struct err *err)
{
	X509 *x = X509_new();
	if (x && X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, key) && set_subject(x, plan) &&
	    set_serial_and_time(x, plan) && add_extensions(x, plan) &&
	    X509_sign(x, plan->issuer_key ? plan->issuer_key : key, EVP_sha256())) {
		*certificate = x;
		return 0;
	}
	X509_free(x);
	*certificate = NULL;
	AUTO_FREE char *what = mem_printf("cannot make a certificate for '%s'", plan->common_name);
	return fail(err, what);
}

int keys_fingerprint(X509 *certificate, uint8_t sha256[32], struct err *err)
{
	unsigned n = 0;
	return X509_digest(certificate, EVP_sha256(), sha256, &n) && n == 32 ? 0 : fail(err, "cannot hash a certificate");
}

char *keys_host_name(const char *host)
{
	struct in6_addr address;
	bool is_ip = inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
	return mem_printf("%s:%s", is_ip ? "IP" : "DNS", host);
}

static char *host_of(const GENERAL_NAME *g)
{
	char text[INET6_ADDRSTRLEN];
	if (g->type == GEN_DNS)
		return mem_strndup((const char *)ASN1_STRING_get0_data(g->d.dNSName),
				   (size_t)ASN1_STRING_length(g->d.dNSName));
	int n = g->type == GEN_IPADD ? ASN1_STRING_length(g->d.iPAddress) : 0;
	if (n != 4 && n != 16)
		return NULL;
	int family = n == 4 ? AF_INET : AF_INET6;
	const char *ip = inet_ntop(family, ASN1_STRING_get0_data(g->d.iPAddress), text, sizeof text);
	return ip ? mem_strdup(ip) : NULL;
}

char *keys_first_host(X509 *certificate)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	char *host = NULL;
	for (int i = 0; !host && i < sk_GENERAL_NAME_num(all); i++)
		host = host_of(sk_GENERAL_NAME_value(all, i));
	GENERAL_NAMES_free(all);
	return host;
}

int keys_check_time(const char *path, int64_t *left_s, struct err *err)
{
	X509 *x = NULL;
	int days = 0, seconds = 0;
	if (keys_read_certificate(path, &x, err) < 0)
		return -1;
	int from = X509_cmp_current_time(X509_get0_notBefore(x));
	bool is_known = ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) == 1; // from now
	X509_free(x);
	int64_t left = (int64_t)days * 86400 + seconds;
	if (left_s)
		*left_s = left;
	if (from > 0)
		return err_set(err, ERR_ACCESS, "the certificate '%s' is not valid yet: the clock here may be wrong", path);
	return !is_known || left < 0 ? err_set(err, ERR_ACCESS, "the certificate '%s' has expired: make a new one", path)
				     : 0;
}
