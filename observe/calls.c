#include "observe/calls.h"

#include "base/mem.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/syscall.h>

#ifndef __NR_faccessat2
#define __NR_faccessat2 439
#endif

static const struct call table[] = {
// Newer architectures (aarch64) have only the second half.
#ifdef __NR_open
	{__NR_open, CALL_OPEN, -1, 0, 1, -1, -1},         {__NR_creat, CALL_WRITE, -1, 0, -1, -1, -1},
	{__NR_stat, CALL_STAT, -1, 0, -1, -1, -1},        {__NR_lstat, CALL_LSTAT, -1, 0, -1, -1, -1},
	{__NR_access, CALL_STAT, -1, 0, -1, -1, -1},      {__NR_readlink, CALL_LINK, -1, 0, -1, -1, -1},
	{__NR_getdents, CALL_LIST, 0, -1, -1, -1, -1},    {__NR_mkdir, CALL_WRITE, -1, 0, -1, -1, -1},
	{__NR_rmdir, CALL_WRITE, -1, 0, -1, -1, -1},      {__NR_unlink, CALL_WRITE, -1, 0, -1, -1, -1},
	{__NR_rename, CALL_WRITE_2, -1, 0, -1, -1, 1},    {__NR_link, CALL_WRITE_2, -1, 0, -1, -1, 1},
	{__NR_symlink, CALL_WRITE, -1, 1, -1, -1, -1},    {__NR_mknod, CALL_WRITE, -1, 0, -1, -1, -1},
#endif
	{__NR_openat, CALL_OPEN, 0, 1, 2, -1, -1},        {__NR_openat2, CALL_OPEN_HOW, 0, 1, 2, -1, -1},
#ifdef __NR_newfstatat
	{__NR_newfstatat, CALL_STAT_AT, 0, 1, 3, -1, -1},
#endif
#ifdef __NR_fstatat
	{__NR_fstatat, CALL_STAT_AT, 0, 1, 3, -1, -1},
#endif
	{__NR_statx, CALL_STAT_AT, 0, 1, 2, -1, -1},      {__NR_faccessat, CALL_STAT, 0, 1, -1, -1, -1},
	{__NR_faccessat2, CALL_STAT_AT, 0, 1, 3, -1, -1}, {__NR_statfs, CALL_STAT, -1, 0, -1, -1, -1},
	{__NR_getxattr, CALL_STAT, -1, 0, -1, -1, -1},    {__NR_lgetxattr, CALL_LSTAT, -1, 0, -1, -1, -1},
	{__NR_listxattr, CALL_STAT, -1, 0, -1, -1, -1},   {__NR_readlinkat, CALL_LINK, 0, 1, -1, -1, -1},
	{__NR_getdents64, CALL_LIST, 0, -1, -1, -1, -1},  {__NR_execve, CALL_RUN, -1, 0, -1, -1, -1},
	{__NR_execveat, CALL_RUN, 0, 1, -1, -1, -1},      {__NR_chdir, CALL_CHDIR, -1, 0, -1, -1, -1},
	{__NR_mkdirat, CALL_WRITE, 0, 1, -1, -1, -1},     {__NR_unlinkat, CALL_WRITE, 0, 1, -1, -1, -1},
	{__NR_mknodat, CALL_WRITE, 0, 1, -1, -1, -1},     {__NR_symlinkat, CALL_WRITE, 1, 2, -1, -1, -1},
	{__NR_linkat, CALL_WRITE_2, 0, 1, -1, 2, 3},
#ifdef __NR_renameat
	{__NR_renameat, CALL_WRITE_2, 0, 1, -1, 2, 3},
#endif
	{__NR_renameat2, CALL_WRITE_2, 0, 1, -1, 2, 3},   {__NR_truncate, CALL_WRITE, -1, 0, -1, -1, -1},
};

const struct call *call_find(int nr)
{
	for (size_t i = 0; i < COUNT_OF(table); i++)
		if (table[i].nr == nr)
			return &table[i];
	return NULL;
}

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef OUR_ARCH
// load arch; other: trace. load nr; each call: trace. x32 calls (bit 30) are traced, and then found unknown.
enum { HEAD = 4, TAIL = 2, LENGTH = HEAD + COUNT_OF(table) + TAIL };
static struct sock_filter filter[LENGTH];

static void make_filter(void)
{
	size_t n = 0, trace = LENGTH - 1;
	struct sock_filter *f = filter;
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 0, (unsigned char)(trace - n - 1));
	n++;
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	f[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, (unsigned char)(trace - n - 1), 0);
	n++;
	for (size_t i = 0; i < COUNT_OF(table); i++, n++)
		f[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)table[i].nr,
						    (unsigned char)(trace - n - 1), 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	f[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
}

bool calls_filter(struct sock_fprog *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_filter);
	*out = (struct sock_fprog){.len = LENGTH, .filter = filter};
	return true;
}
#else
bool calls_filter(struct sock_fprog *out)
{
	(void)out;
	return false;
}
#endif
