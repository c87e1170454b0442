// The log of a daemon or a service: one line a call, to stderr (which is the log file or the journal). Never holds
// environment values, source text, keys or tokens.
//
// As text a line is "TIME LEVEL text", an event "TIME LEVEL event name=value …"; as JSON it is one object with "time" (UTC),
// "level", "event" and the fields. Thread: any; level and format are set at the start.
#ifndef COFFER_BASE_LOG_H
#define COFFER_BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
void log_set_level(enum log_level most);
void log_set_format(enum log_format format);
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

// What happened, in constant words, and on what: log_event(LOG_LEVEL_INFO, "worker registered", LOG_TEXT("worker", name),
// LOG_NUMBER("slots", n)). A line is cut at 4 KiB.
struct log_field {
	const char *name;
	const char *text; // NULL: the number
	int64_t number;
};
#define LOG_TEXT(name, text) ((struct log_field){(name), (text), 0})
#define LOG_NUMBER(name, number) ((struct log_field){(name), NULL, (int64_t)(number)})
void log_fields(enum log_level level, const char *event, const struct log_field *fields, size_t n);
#define log_event(level, event, ...)                                          \
	log_fields((level), (event), (const struct log_field[]){__VA_ARGS__}, \
		   sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
