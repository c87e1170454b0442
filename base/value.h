// Values of settings as people write them: "on", "1.5G", "30s", "host:port". Thread: any.
#ifndef COFFER_BASE_VALUE_H
#define COFFER_BASE_VALUE_H

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

enum value_type {
	VALUE_BOOL,     // on/off, true/false, yes/no, 1/0: the number is 0 or 1
	VALUE_SIZE,     // bytes; K M G T
	VALUE_DURATION, // milliseconds; ms s m h d
	VALUE_INTEGER,
	VALUE_PATH,        // a file's name, or empty; the number is 0
	VALUE_ABSOLUTE,    // an absolute name of a file, or empty; the number is 0
	VALUE_DIRECTORIES, // absolute names with ':' between them, "off" or empty; the number is 0
	VALUE_ADDRESS,     // HOST:PORT, HOST may be in brackets; or empty. The number is the port
	VALUE_ADDRESSES,   // several of these, with blanks or commas between them, or none; the number is how many
	VALUE_FAMILIES,    // NAME:gcc or NAME:clang, several with blanks between them, or none; the number is how many
	VALUE_CHOICE,      // one word of a list; the number is its place in the list
	VALUE_TEXT,        // anything; the number is 0
	VALUE_LIST,        // words with blanks between them; the number is 0
};

enum { VALUE_MAX_TEXT = 4096 };

// Returns NULL, or what the text should have been ("a whole number"). `choices` is "a|b|c" for VALUE_CHOICE, else NULL.
const char *value_parse(enum value_type type, const char *choices, const char *text, int64_t *number);
// A number as value_parse() takes it: 300000 as a duration is "5m".
const char *value_text(struct arena *a, enum value_type type, int64_t number);
const char *value_type_word(enum value_type type); // what --help puts behind an option: "DURATION"
// What a message may quote of a text from outside: one line, printable, at most 60 characters.
const char *value_shown(struct arena *a, const char *text);
// Makes one line of a text from outside that does nothing to a terminal: control characters become '?'.
void value_make_plain(char *text);
// The parts of HOST:PORT, which may be "[::1]:80" or ":80" (host ""). False: it is none. Takes ports 0 to 65535.
bool value_split_address(struct arena *a, const char *text, const char **host, uint16_t *port);
// Of "HOST:PORT" or "unix:PATH": nobody on another machine can reach it. Decided on the parsed address (127.0.0.0/8, ::1), or the
// one name "localhost": a name as 127.example.org is anybody's.
bool value_is_of_this_machine(const char *address);
// Whether the text has 1 to `most` characters out of A-Z a-z 0-9 and `others`.
bool value_is_name(const char *text, size_t most, const char *others);

#endif
