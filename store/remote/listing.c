#include "store/remote/listing.h"

#include <expat.h>
#include <stdlib.h>
#include <time.h>

enum { TEXT_MAX = 2048, HEX = SHA256_HEX - 1 };

enum field { FIELD_NAME, FIELD_BYTES, FIELD_TIME, FIELDS };
static const struct words {
	const char *item, *fields[FIELDS], *next;
	const char *time; // as strptime(3) takes it; in UTC
} words_of[] = {
	[LISTING_S3] = {"Contents", {"Key", "Size", "LastModified"}, "NextContinuationToken", "%Y-%m-%dT%H:%M:%S"},
	[LISTING_DAV] = {"response", {"href", "getcontentlength", "getlastmodified"}, NULL, "%a, %d %b %Y %H:%M:%S"},
};

struct reader {
	struct listing *listing;
	const struct words *words;
	XML_Parser parser;
	bool is_in_item, is_stopped;
	char fields[FIELDS][TEXT_MAX], text[TEXT_MAX];
	size_t n_text;
};

static void stop(struct reader *r)
{
	r->is_stopped = true;
	XML_StopParser(r->parser, XML_FALSE);
}

// Without the prefix of its namespace.
static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');
	return colon ? colon + 1 : name;
}

static void begin(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = arg;
	(void)attributes;
	r->n_text = 0;
	if (strcmp(local_name(name), r->words->item) == 0) {
		r->is_in_item = true;
		memset(r->fields, 0, sizeof r->fields);
	}
}

static void add_text(void *arg, const XML_Char *text, int n)
{
	struct reader *r = arg;
	size_t room = sizeof r->text - 1 - r->n_text, some = (size_t)n < room ? (size_t)n : room;
	memcpy(r->text + r->n_text, text, some);
	r->n_text += some;
}

// The last part of "…/ac/<64 hex digits>" in the right space.
static bool parse_name(const struct reader *r, struct tier_name *name)
{
	const char *all = r->fields[FIELD_NAME], *space = tier_space_name(r->listing->space);
	size_t n = strlen(all), n_space = strlen(space);
	name->space = r->listing->space;
	if (n < HEX + 1 + n_space || all[n - HEX - 1] != '/' || strncmp(all + n - HEX - 1 - n_space, space, n_space) != 0)
		return false;
	return sha256_parse(all + n - HEX, &name->id);
}

static void end_item(struct reader *r)
{
	struct tier_item item;
	struct tm tm = {0};
	char *end;
	if (!parse_name(r, &item.name) || !strptime(r->fields[FIELD_TIME], r->words->time, &tm))
		return;
	item.used_s = timegm(&tm);
	item.bytes = strtoull(r->fields[FIELD_BYTES], &end, 10);
	if (end != r->fields[FIELD_BYTES] && !*end && r->listing->fn(r->listing->arg, &item) < 0)
		stop(r);
}

static void end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;
	const char *local = local_name(name);
	r->text[r->n_text] = '\0';
	for (int i = 0; r->is_in_item && i < FIELDS; i++)
		if (strcmp(local, r->words->fields[i]) == 0)
			memcpy(r->fields[i], r->text, r->n_text + 1);
	if (r->words->next && strcmp(local, r->words->next) == 0)
		memcpy(r->listing->next, r->text, r->n_text + 1);
	if (r->is_in_item && strcmp(local, r->words->item) == 0) {
		r->is_in_item = false;
		end_item(r);
	}
	r->n_text = 0;
}

static void refuse_type(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public, int has_subset)
{
	(void)name, (void)system, (void)public, (void)has_subset;
	stop(arg);
}

int listing_parse(struct listing *l, const char *xml, size_t n, struct err *err)
{
	struct reader *r = calloc(1, sizeof *r);
	XML_Parser parser = XML_ParserCreate(NULL);
	if (!r || !parser)
		abort();
	*r = (struct reader){.listing = l, .words = &words_of[l->kind], .parser = parser};
	l->next[0] = '\0';
	XML_SetUserData(parser, r);
	XML_SetElementHandler(parser, begin, end);
	XML_SetCharacterDataHandler(parser, add_text);
	XML_SetStartDoctypeDeclHandler(parser, refuse_type);
	int rc = 0;
	for (size_t at = 0; rc == 0 && (at < n || !n);) {
		size_t some = n - at < (1 << 20) ? n - at : 1 << 20;
		bool is_last = at + some == n;
		if (XML_Parse(parser, xml + at, (int)some, is_last) != XML_STATUS_OK)
			rc = err_set(err, ERR_FORMAT, "the server's list of entries does not parse: %s",
				     r->is_stopped ? "it is not as it should be"
						   : XML_ErrorString(XML_GetErrorCode(parser)));
		at += some;
	}
	XML_ParserFree(parser);
	free(r);
	return rc;
}
