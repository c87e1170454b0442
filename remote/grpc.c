#include "remote/grpc.h"

#include "base/mem.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *rpc_code_name(enum rpc_code code)
{
	static const char *const names[] = {
		"OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
		"NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
		"ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED"};
	return (size_t)code < COUNT_OF(names) ? names[code] : "UNKNOWN";
}

enum rpc_code grpc_code_of_http(int status)
{
	switch (status) {
	case 400:
		return RPC_INTERNAL;
	case 401:
		return RPC_UNAUTHENTICATED;
	case 403:
		return RPC_PERMISSION_DENIED;
	case 404:
		return RPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return RPC_UNAVAILABLE;
	default:
		return RPC_UNKNOWN;
	}
}

enum rpc_code grpc_code_of_reset(uint32_t h2_code)
{
	switch (h2_code) {
	case NGHTTP2_REFUSED_STREAM:
		return RPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return RPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return RPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return RPC_PERMISSION_DENIED;
	default:
		return RPC_INTERNAL;
	}
}

enum rpc_code grpc_code_parse(const char *text)
{
	unsigned n = 0;
	if (!*text || strlen(text) > 2)
		return RPC_UNKNOWN;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return RPC_UNKNOWN;
		n = n * 10 + (unsigned)(*p - '0');
	}
	return n <= RPC_UNAUTHENTICATED ? (enum rpc_code)n : RPC_UNKNOWN;
}

enum err_code grpc_err_of_code(enum rpc_code code)
{
	switch (code) {
	case RPC_OK:
		return ERR_NONE;
	case RPC_INVALID_ARGUMENT:
	case RPC_FAILED_PRECONDITION:
	case RPC_OUT_OF_RANGE:
		return ERR_FORMAT;
	case RPC_DEADLINE_EXCEEDED:
		return ERR_TIMEOUT;
	case RPC_NOT_FOUND:
		return ERR_NOT_FOUND;
	case RPC_PERMISSION_DENIED:
	case RPC_UNAUTHENTICATED:
		return ERR_ACCESS;
	case RPC_RESOURCE_EXHAUSTED:
		return ERR_LIMIT;
	default:
		return ERR_PEER;
	}
}

// ---- status texts ---------------------------------------------------------------------------------------------------

void grpc_message_encode(struct buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p >= 0x20 && *p <= 0x7e && *p != '%')
			buf_addc(out, (char)*p);
		else
			buf_addf(out, "%%%02X", *p);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *grpc_message_decode(const char *value)
{
	char *text = mem_strdup(value), *to = text;
	for (const char *p = value; *p; p++) {
		int high = *p == '%' ? hex_digit(p[1]) : -1;
		int low = high >= 0 ? hex_digit(p[2]) : -1;
		if (low < 0) {
			*to++ = *p;
			continue;
		}
		char c = (char)(high * 16 + low);
		*to++ = c ? c : '?';
		p += 2;
	}
	*to = '\0';
	return text;
}

// ---- timeouts -------------------------------------------------------------------------------------------------------

void grpc_timeout_format(char out[GRPC_TIMEOUT_MAX], uint32_t ms)
{
	if (ms <= 99999999)
		snprintf(out, GRPC_TIMEOUT_MAX, "%um", ms);
	else
		snprintf(out, GRPC_TIMEOUT_MAX, "%uS", ms / 1000 + 1);
}

int grpc_timeout_parse(const char *value, uint32_t *ms)
{
	uint64_t n = 0;
	const char *p = value;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (unsigned)(*p - '0');
	if (p == value || p - value > 8 || !*p || p[1])
		return -1;
	switch (*p) {
	case 'H':
		n *= 3600 * 1000;
		break;
	case 'M':
		n *= 60 * 1000;
		break;
	case 'S':
		n *= 1000;
		break;
	case 'm':
		break;
	case 'u':
		n = (n + 999) / 1000;
		break;
	case 'n':
		n = (n + 999999) / 1000000;
		break;
	default:
		return -1;
	}
	*ms = n > INT32_MAX ? INT32_MAX : (uint32_t)n;
	return 0;
}

// ---- names ----------------------------------------------------------------------------------------------------------

bool grpc_is_content_type(const char *value)
{
	size_t n = strlen(GRPC_CONTENT_TYPE);
	return strncasecmp(value, GRPC_CONTENT_TYPE, n) == 0 && (!value[n] || value[n] == '+' || value[n] == ';');
}

static const char *const encodings[] = {"identity", "gzip", "zstd"};

const char *grpc_encoding_name(enum rpc_encoding e)
{
	return encodings[e];
}

static int encoding_find(const char *name, size_t n, enum rpc_encoding *e)
{
	for (size_t i = 0; i < COUNT_OF(encodings); i++) {
		if (strlen(encodings[i]) == n && memcmp(encodings[i], name, n) == 0) {
			*e = (enum rpc_encoding)i;
			return 0;
		}
	}
	return -1;
}

int grpc_encoding_parse(const char *name, enum rpc_encoding *e)
{
	return encoding_find(name, strlen(name), e);
}

unsigned grpc_accept_parse(const char *value)
{
	unsigned accepted = 1u << RPC_IDENTITY;
	while (value && *value) {
		enum rpc_encoding e;
		value += strspn(value, ", \t");
		size_t n = strcspn(value, ", \t;");
		if (encoding_find(value, n, &e) == 0)
			accepted |= 1u << e;
		value += strcspn(value, ",");
	}
	return accepted;
}
