#include "remote/net/tls_words.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct words {
	int code;
	enum rpc_handshake cause;
	const char *text;
};

// What is wrong with a certificate that the other side shows (X509_V_ERR_…).
static const struct words certificates[] = {
	{X509_V_ERR_CERT_HAS_EXPIRED, RPC_HANDSHAKE_EXPIRED,
	 "it has expired; whose it is needs a new one, or the clock here is wrong"},
	{X509_V_ERR_CERT_NOT_YET_VALID, RPC_HANDSHAKE_EXPIRED, "it is not valid yet; one of the two clocks is wrong"},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, RPC_HANDSHAKE_UNTRUSTED,
	 "no authority that is known here has signed it; 'ca' may name the one of another farm"},
	{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, RPC_HANDSHAKE_UNTRUSTED,
	 "no authority that is known here has signed it; 'ca' may name the one of another farm"},
	{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, RPC_HANDSHAKE_UNTRUSTED,
	 "no authority that is known here has signed it; 'ca' may name the one of another farm"},
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, RPC_HANDSHAKE_UNTRUSTED, "it has signed itself"},
	{X509_V_ERR_CERT_SIGNATURE_FAILURE, RPC_HANDSHAKE_UNTRUSTED, "its signature is wrong"},
	{X509_V_ERR_HOSTNAME_MISMATCH, RPC_HANDSHAKE_UNTRUSTED,
	 "it is for another name than the one in the address; see its names with 'openssl x509 -noout -ext subjectAltName'"},
	{X509_V_ERR_IP_ADDRESS_MISMATCH, RPC_HANDSHAKE_UNTRUSTED,
	 "it is not for this IP address; use a name that is in it, or make one with the address"},
	{X509_V_ERR_INVALID_PURPOSE, RPC_HANDSHAKE_UNTRUSTED, "it is not for this side of a connection"},
};

// What the other side or OpenSSL says (SSL_R_…).
static const struct words reasons[] = {
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, RPC_HANDSHAKE_REJECTED,
	 "the other side says that our certificate has expired; make a new one, or its clock is wrong"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA, RPC_HANDSHAKE_REJECTED,
	 "the other side does not know the authority that has signed our certificate"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, RPC_HANDSHAKE_REJECTED, "the other side does not take our certificate"},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, RPC_HANDSHAKE_REJECTED,
	 "the other side does not take our certificate: it is not for this use"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, RPC_HANDSHAKE_REJECTED,
	 "the other side says that our certificate was revoked"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, RPC_HANDSHAKE_REJECTED, "the other side does not take our certificate"},
	{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, RPC_HANDSHAKE_REJECTED,
	 "the other side wants a certificate from us; set 'certificate' and 'key'"},
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, RPC_HANDSHAKE_UNTRUSTED,
	 "the other side has shown no certificate, and one is wanted here"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, RPC_HANDSHAKE_VERSION, "the other side does not speak TLS 1.3"},
	{SSL_R_UNSUPPORTED_PROTOCOL, RPC_HANDSHAKE_VERSION, "the other side does not speak TLS 1.3"},
	{SSL_R_WRONG_VERSION_NUMBER, RPC_HANDSHAKE_VERSION, "the other side does not speak TLS on this port"},
	{SSL_R_HTTP_REQUEST, RPC_HANDSHAKE_VERSION, "the other side speaks plain HTTP to a port for TLS"},
	{SSL_R_NO_APPLICATION_PROTOCOL, RPC_HANDSHAKE_PROTOCOL, "the other side does not speak HTTP/2 (ALPN 'h2')"},
	{SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, RPC_HANDSHAKE_PROTOCOL,
	 "the other side does not speak HTTP/2 (ALPN 'h2')"},
	{SSL_R_NO_SHARED_CIPHER, RPC_HANDSHAKE_VERSION, "no cipher is known on both sides"},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, RPC_HANDSHAKE_HUNG_UP, "the other side has hung up"},
};

static const struct words *find(const struct words *all, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].code == code)
			return &all[i];
	return NULL;
}

enum rpc_handshake tls_words_of_certificate(long verified, const char **text)
{
	const struct words *w = find(certificates, COUNT_OF(certificates), (int)verified);
	*text = w ? w->text : X509_verify_cert_error_string(verified);
	return w ? w->cause : RPC_HANDSHAKE_UNTRUSTED;
}

enum rpc_handshake tls_words_of_error(unsigned long error, const char **text)
{
	const struct words *w =
		ERR_GET_LIB(error) == ERR_LIB_SSL ? find(reasons, COUNT_OF(reasons), ERR_GET_REASON(error)) : NULL;
	*text = w ? w->text : NULL;
	return w ? w->cause : RPC_HANDSHAKE_OTHER;
}
