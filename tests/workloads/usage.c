/*
 * usage FILE MODE N LENGTH: processes that use CPU time and bytes and end in every way. Each writes into FILE, as a
 * line "cpu NANOSECONDS", what it used until just before its end; some also "faults NUMBER", minor page faults. LENGTH is in milliseconds of CPU time.
 * usage FILE around PROGRAM ARGUMENT…: runs a program, adopts what it leaves behind, waits for all of it and writes
 * "around NANOSECONDS" and "faults-around NUMBER", what all used together.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
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

static int file;
static long length_ns;

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

static long long ns_of(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000LL +
	       (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000LL;
}

static void report(const char *name, long long number)
{
	char text[64];

	must(write(file, text, snprintf(text, sizeof(text), "%s %lld\n", name, number)));
}

static void spin(clockid_t clock)
{
	while (ns(clock) < length_ns)
		;
}

static void spin_and_end(void)
{
	struct rusage usage;

	spin(CLOCK_PROCESS_CPUTIME_ID);
	getrusage(RUSAGE_SELF, &usage);
	report("faults", usage.ru_minflt);
	report("cpu", ns(CLOCK_PROCESS_CPUTIME_ID));
	_exit(0);
}

/* Of a pipe whose other end every descendant has: returns when the last one has ended. */
static void wait_for_end_of(const int ends[2])
{
	char byte;

	close(ends[1]);
	while (must(read(ends[0], &byte, 1)) > 0)
		;
}

/* Their parent ends before them. */
static void orphans(long n)
{
	int ends[2];

	must(pipe(ends));
	for (long i = 0; i < n; i++) {
		if (must(fork()) == 0) {
			if (must(fork()) == 0)
				spin_and_end();
			_exit(0);
		}
		must(wait(0));
	}
	wait_for_end_of(ends);
}

/* The kernel reaps them, and their parent inherits nothing. */
static void ignored(long n)
{
	int ends[2];

	must(pipe(ends));
	signal(SIGCHLD, SIG_IGN);
	for (long i = 0; i < n; i++)
		if (must(fork()) == 0)
			spin_and_end();
	wait_for_end_of(ends);
}

/* Grandchildren whose parent is the process that forked their creator. */
static void clone_parent(long n)
{
	for (long i = 0; i < n; i++)
		if (must(fork()) == 0) {
			if (must(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)) == 0)
				spin_and_end();
			spin_and_end();
		}
	while (wait(0) > 0)
		;
}

static void *spin_thread(void *unused)
{
	spin(CLOCK_THREAD_CPUTIME_ID);
	report("cpu", ns(CLOCK_THREAD_CPUTIME_ID));
	return unused;
}

/* N processes of three threads: the main one ends first. */
static void threads(long n)
{
	for (long i = 0; i < n; i++)
		if (must(fork()) == 0) {
			pthread_t thread;

			for (int j = 0; j < 2; j++)
				must(-pthread_create(&thread, 0, spin_thread, 0));
			spin_thread(0);
			syscall(SYS_exit, 0);
		}
	while (wait(0) > 0)
		;
}

static char **again;

static void *execute(void *unused)
{
	spin_thread(0);
	must(execv("/proc/self/exe", again));
	return unused;
}

/* N processes that spin in two threads; the second one executes this program again, which spins on. */
static void executes(long n, char **argv)
{
	char *arguments[] = { argv[0], argv[1], "spins", "1", argv[4], 0 };

	again = arguments;
	for (long i = 0; i < n; i++)
		if (must(fork()) == 0) {
			pthread_t thread;

			spin_thread(0);
			must(-pthread_create(&thread, 0, execute, 0));
			pause();
		}
	while (wait(0) > 0)
		;
}

/* A child of so many MiB, which the kernel frees after it has ended: what wait4(2) returned of it, as "PID NANOSECONDS". */
static void large(long mib)
{
	struct rusage usage;
	char name[16];
	pid_t child = must(fork());

	if (child == 0) {
		char *memory = mmap(0, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			_exit(99);
		memset(memory, 1, mib << 20);
		_exit(0);
	}
	must(wait4(child, 0, 0, &usage));
	report("cpu", ns_of(&usage));
	snprintf(name, sizeof(name), "%d", child);
	report(name, ns_of(&usage));
}

/* N children, one after the other; what their parent inherited of all of them. */
static void in_turn(long n)
{
	struct rusage usage;

	for (long i = 0; i < n; i++) {
		if (must(fork()) == 0)
			_exit(0);
		must(wait(0));
	}
	getrusage(RUSAGE_CHILDREN, &usage);
	report("cpu", ns_of(&usage) + ns(CLOCK_PROCESS_CPUTIME_ID));
}

/* A daemon does not wait for its N children, until stdin is closed. The command ends when they have. */
static void zombies(long n)
{
	int ends[2];
	char byte;

	must(pipe(ends));
	if (must(fork()) == 0) {
		for (long i = 0; i < n; i++)
			if (must(fork()) == 0)
				spin_and_end();
		close(ends[0]);
		close(ends[1]);
		must(read(0, &byte, 1));
		_exit(0);
	}
	wait_for_end_of(ends);
}

/* N processes, every other one an orphan: each reads LENGTH blocks of 4096 bytes and writes as many of 512. */
static void bytes(long n, long blocks)
{
	int ends[2];
	int zero = must(open("/dev/zero", O_RDONLY)), null = must(open("/dev/null", O_WRONLY));
	char block[4096];

	must(pipe(ends));
	for (long i = 0; i < n; i++)
		if (must(fork()) == 0) {
			if (i % 2 == 0 || must(fork()) == 0)
				for (long j = 0; j < blocks; j++) {
					must(read(zero, block, sizeof(block)));
					must(write(null, block, 512));
				}
			_exit(0);
		}
	while (wait(0) > 0)
		;
	wait_for_end_of(ends);
}

static int around(char **program)
{
	struct rusage usage;
	int status, of_program = 0;
	pid_t child, ended;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	child = must(fork());
	if (child == 0) {
		close(file);
		execvp(program[0], program);
		_exit(127);
	}
	while ((ended = wait(&status)) > 0)
		if (ended == child)
			of_program = status;
	getrusage(RUSAGE_CHILDREN, &usage);
	report("around", ns_of(&usage));
	report("faults-around", usage.ru_minflt);
	return WIFEXITED(of_program) ? WEXITSTATUS(of_program) : 98;
}

int main(int argc, char **argv)
{
	const char *mode = argv[2];
	long n = argc > 3 ? atol(argv[3]) : 0, length = argc > 4 ? atol(argv[4]) : 0;

	file = must(open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
	length_ns = length * 1000000;
	if (!strcmp(mode, "around"))
		return around(argv + 3);
	if (!strcmp(mode, "orphans"))
		orphans(n);
	else if (!strcmp(mode, "ignored"))
		ignored(n);
	else if (!strcmp(mode, "clone-parent"))
		clone_parent(n);
	else if (!strcmp(mode, "threads"))
		threads(n);
	else if (!strcmp(mode, "executes"))
		executes(n, argv);
	else if (!strcmp(mode, "spins")) {
		length_ns += ns(CLOCK_PROCESS_CPUTIME_ID);
		long long before = ns(CLOCK_PROCESS_CPUTIME_ID);

		spin(CLOCK_PROCESS_CPUTIME_ID);
		report("cpu", ns(CLOCK_PROCESS_CPUTIME_ID) - before);
	} else if (!strcmp(mode, "large"))
		large(n);
	else if (!strcmp(mode, "in-turn"))
		in_turn(n);
	else if (!strcmp(mode, "zombies"))
		zombies(n);
	else if (!strcmp(mode, "bytes"))
		bytes(n, length);
	else
		return 97;
	return 0;
}
