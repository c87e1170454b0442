// The daemon's log: one line a call, "TIME LEVEL text", to stderr (which is the log file or the journal). Never holds
// environment values or source text. Thread: any.
#ifndef COFFER_BASE_LOG_H
#define COFFER_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
void log_set_level(enum log_level most);
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
