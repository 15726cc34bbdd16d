/*
 * Programs whose use of the machine is known: they measure themselves, or do a number of something.
 * What they measured they write into the file named last.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int must(int result)
{
	if (result < 0)
		_exit(99);
	return result;
}

static long long ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void nap(long long length)
{
	struct timespec time = { .tv_sec = length / 1000000000, .tv_nsec = length % 1000000000 };

	nanosleep(&time, 0);
}

static void tell(const char *file, long long number)
{
	char text[32];
	int fd = must(open(file, O_WRONLY | O_CREAT | O_APPEND, 0600));

	must(write(fd, text, snprintf(text, sizeof(text), "%lld\n", number)));
	close(fd);
}

static long long until;
static int busy_percent;
static volatile int left;

static void spin(void)
{
	const long long period = 20000000;

	while (ns(CLOCK_MONOTONIC) < until) {
		long long rest = ns(CLOCK_MONOTONIC) + period * busy_percent / 100;

		while (ns(CLOCK_MONOTONIC) < rest)
			;
		if (busy_percent < 100)
			nap(period * (100 - busy_percent) / 100);
	}
}

static int spinning_thread(void *name)
{
	prctl(PR_SET_NAME, name);
	spin();
	__atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* Threads and children that exist already, and begin when somebody closes the pipe. */
static int gate[2];
static long calls;

static int calling_thread(void *unused)
{
	char none;

	(void)unused;
	read(gate[0], &none, 1);
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	__atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int late_group_exit(void *unused)
{
	(void)unused;
	nap(calls * 1000000);
	syscall(SYS_exit_group, 9);
	return 0;
}

static void thread(int (*body)(void *), void *argument)
{
	const int size = 64 * 1024;
	char *stack = malloc(size);

	must(clone(body, stack + size,
		   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		   argument));
}

static int executing_thread(void *unused)
{
	(void)unused;
	execl("/proc/self/exe", "in-thread", "nothing", (char *)0);
	_exit(98);
}

/* N: so many children execute, every tenth first something that is not there. */
static void execute(long n)
{
	char number[24];

	for (long i = 0; i < n; i++) {
		sprintf(number, "%ld", i);
		if (must(vfork()) == 0) {
			if (i % 10 == 3)
				execl("/nonexistent", "x", number, (char *)0);
			execl("/proc/self/exe", "load", "nothing", number, (char *)0);
			_exit(98);
		}
		must(wait(0));
	}
}

/* FILE: one child each. */
static void execute_oddly(const char *file)
{
	static char *many[257], large[8192];
	int fd = must(open(file, O_RDWR | O_CREAT | O_TRUNC, 0600));
	int folder = must(open("/proc/self", O_RDONLY | O_DIRECTORY));
	const char *path = "/proc/self/exe", *unread;

	must(write(fd, path, strlen(path) + 1));
	unread = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	memset(large, 'a', sizeof(large) - 1);
	for (int i = 0; i < 256; i++)
		many[i] = large;
	for (int kind = 0; kind < 8; kind++) {
		if (must(fork())) {
			must(wait(0));
			continue;
		}
		switch (kind) {
		case 0: /* two megabytes, of which 257 pointers and a NUL each */
			many[0] = "load";
			many[1] = "nothing";
			execv(path, many);
			break;
		case 1: /* not too many for kernels that copy them before they look for the file */
			many[100] = 0;
			execv("/nonexistent", many);
			break;
		case 2:
			execv((const char *)16, many);
			break;
		case 3:
			execv(path, (char *[]){ "load", (char *)16, 0 });
			break;
		case 4:
			execl(path, "\033[31mred", "nothing", "a\nb", "\xff", "", (char *)0);
			break;
		case 5:
			syscall(SYS_execveat, folder, "exe", (char *[]){ "at", "nothing", 0 }, (char *[]){ 0 }, 0);
			break;
		case 6:
			thread(executing_thread, 0);
			for (;;)
				pause();
		case 7: /* a page that was never touched */
			madvise((void *)unread, 4096, MADV_DONTNEED);
			execl(unread, "unread", "nothing", (char *)0);
			break;
		}
		_exit(90 + kind);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const char *file = argv[argc - 1];
	long first = argc > 2 ? atol(argv[2]) : 0, second = argc > 3 ? atol(argv[3]) : 0;

	if (!strcmp(mode, "spin")) { /* MS PERCENT FILE: its CPU time in ns */
		until = ns(CLOCK_MONOTONIC) + first * 1000000;
		busy_percent = second;
		spin();
		tell(file, ns(CLOCK_PROCESS_CPUTIME_ID));
	} else if (!strcmp(mode, "threads")) { /* MS THREADS FILE: as spin, in so many threads */
		until = ns(CLOCK_MONOTONIC) + first * 1000000;
		busy_percent = 100;
		for (int i = 0; i < second; i++)
			thread(spinning_thread, "spin(ner) \n");
		while (left < second)
			nap(5000000);
		tell(file, ns(CLOCK_PROCESS_CPUTIME_ID));
	} else if (!strcmp(mode, "children")) { /* MS CHILDREN FILE: a line from each */
		until = ns(CLOCK_MONOTONIC) + first * 1000000;
		busy_percent = 100;
		for (int i = 0; i < second; i++) {
			if (must(fork()) == 0) {
				spin();
				tell(file, ns(CLOCK_PROCESS_CPUTIME_ID));
				_exit(i);
			}
		}
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "forgotten")) { /* MS CHILDREN FILE: nobody waits for them */
		signal(SIGCHLD, SIG_IGN);
		until = ns(CLOCK_MONOTONIC) + first * 1000000;
		busy_percent = 100;
		for (int i = 0; i < second; i++) {
			if (must(fork()) == 0) {
				spin();
				tell(file, ns(CLOCK_PROCESS_CPUTIME_ID));
				_exit(0);
			}
		}
		nap((first + 600) * 1000000);
	} else if (!strcmp(mode, "grow")) { /* MIB MS FILE: resident, then given back */
		char *memory = mmap(0, first << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(memory, 1, first << 20);
		tell(file, getpid());
		nap(second * 1000000);
		munmap(memory, first << 20);
		nap(second * 1000000);
	} else if (!strcmp(mode, "write")) { /* BYTES CHILDREN FILE: each, and ourselves */
		char block[4096] = "";
		int fd = must(open(file, O_WRONLY | O_CREAT | O_APPEND, 0600));

		for (int i = 0; i <= second; i++) {
			int child = i < second;

			if (child && must(fork()))
				continue;
			for (long rest = first; rest > 0; rest -= sizeof(block))
				must(write(fd, block, rest < (long)sizeof(block) ? rest : sizeof(block)));
			if (child)
				_exit(0);
		}
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "nothing")) {
		return 0;
	} else if (!strcmp(mode, "executes")) { /* N */
		execute(first);
	} else if (!strcmp(mode, "executes-oddly")) { /* FILE */
		execute_oddly(file);
	} else if (!strcmp(mode, "executes-later")) { /* N: once a byte comes */
		char byte;

		must(write(1, "ready\n", 6));
		must(read(0, &byte, 1));
		execute(first);
	} else if (!strcmp(mode, "swarm")) { /* N: each lives a millisecond, 32 at once */
		for (long i = 0; i < first; i++) {
			if (i >= 32)
				must(wait(0));
			if (must(fork()) == 0) {
				nap(1000000);
				_exit(0);
			}
		}
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "crowd")) { /* N MS: so many live that long */
		for (long i = 0; i < first; i++) {
			if (must(fork()) == 0) {
				nap(second * 1000000);
				_exit(0);
			}
		}
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "odd")) { /* MS: a name like no other, no descriptor, another user */
		prctl(PR_SET_NAME, "a) R 1 (b\n");
		for (int fd = 0; fd < 256; fd++)
			close(fd);
		setgid(65534);
		setuid(65534);
		nap(first * 1000000);
		return 5;
	} else if (!strcmp(mode, "gated")) { /* CALLS THREADS CHILDREN: once a byte comes; exits with 7 */
		long children = atol(argv[4]);
		char byte;

		calls = first;
		must(pipe(gate));
		for (int i = 0; i < second; i++)
			thread(calling_thread, 0);
		for (int i = 0; i < children; i++) {
			if (must(fork()) == 0) {
				close(gate[1]);
				calling_thread(0);
				_exit(i);
			}
		}
		must(write(1, "ready\n", 6));
		must(read(0, &byte, 1));
		close(gate[1]);
		for (long i = 0; i < calls; i++)
			syscall(SYS_getppid);
		while (left < second)
			nap(1000000);
		while (wait(0) > 0)
			;
		return 7;
	} else if (!strcmp(mode, "storm")) { /* MS CALLS FILE: forks as fast as it can; how many there were */
		long long forks = 0;

		until = ns(CLOCK_MONOTONIC) + first * 1000000;
		while (ns(CLOCK_MONOTONIC) < until) {
			if (must(fork()) == 0) {
				for (long i = 0; i < second; i++)
					syscall(SYS_getppid);
				_exit(0);
			}
			must(wait(0));
			forks++;
		}
		tell(file, forks);
	} else if (!strcmp(mode, "leaderless")) { /* MS: the leader ends first, with 3; then all, with 9 */
		calls = first;
		must(pipe(gate));
		thread(late_group_exit, 0);
		syscall(SYS_exit, 3);
	} else if (!strcmp(mode, "zombie")) { /* MS: a child that ended and is not waited for */
		if (must(fork()) == 0)
			_exit(42);
		nap(first * 1000000);
	} else if (!strcmp(mode, "daemon")) { /* MS FILE: a grandchild that detaches */
		must(pipe(gate));
		if (must(fork()) == 0) {
			setsid();
			if (must(fork()) > 0)
				_exit(0);
			until = ns(CLOCK_MONOTONIC) + first * 1000000;
			busy_percent = 100;
			spin();
			tell(file, ns(CLOCK_PROCESS_CPUTIME_ID));
			_exit(0);
		}
		wait(0);
		/* Until it has ended, however late that is, and a little more. */
		close(gate[1]);
		read(gate[0], &(char){ 0 }, 1);
		nap(300000000);
	} else {
		return 97;
	}
	return 0;
}
