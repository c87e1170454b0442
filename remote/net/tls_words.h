// What OpenSSL and the other side of a handshake say, in our words and with what to do; and by which cause a failure is counted.
// Thread: any.
#ifndef COFFER_REMOTE_NET_TLS_WORDS_H
#define COFFER_REMOTE_NET_TLS_WORDS_H

#include "remote/rpc.h"

// What is wrong with the certificate that was shown (SSL_get_verify_result). *text is never NULL.
enum rpc_handshake tls_words_of_certificate(long verified, const char **text);
// Of an error of OpenSSL's queue. *text is NULL where there are no better words than its own.
enum rpc_handshake tls_words_of_error(unsigned long error, const char **text);

#endif
