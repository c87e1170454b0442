// How many local commands may run: the processors we may use, by affinity and by the quotas of our control groups.
// Needs no library. Thread: any.
#ifndef COFFER_JOBSERVER_CLIENT_CORES_H
#define COFFER_JOBSERVER_CLIENT_CORES_H

unsigned cores_available(void); // at least 1; a quota is rounded up
// The same with the control group's files below `root` ("" is the real /proc and /sys), for tests.
unsigned cores_by_quota(const char *root); // 0: no quota

#endif
