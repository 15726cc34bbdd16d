/*
 * Programs whose use of the machine is known: they measure themselves, or do a number of something.
 * What they measured they write into the file named last, as lines "name number". None waits for a length
 * of time: they go on when a byte arrives on stdin, when stdin is closed, or when another process has done its part.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
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

static void report(const char *file, const char *name, long long number)
{
	char text[64];
	int fd = must(open(file, O_WRONLY | O_CREAT | O_APPEND, 0600));

	must(write(fd, text, snprintf(text, sizeof(text), "%s %lld\n", name, number)));
	close(fd);
}

/* Until a byte arrives, or the other end is closed. */
static void wait_for(int fd)
{
	char byte;

	must(read(fd, &byte, 1));
}

static void read_by_int80(void)
{
#ifdef __x86_64__
	char *buffer = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long result;

	if (buffer == MAP_FAILED)
		_exit(99);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(3), "b"(0), "c"(buffer), "d"(64) : "memory", "r8", "r9", "r10", "r11");
	must(result);
#endif
}

/* Spins until this CPU clock has advanced by so much. */
static void spin(clockid_t clock, long long length)
{
	long long until = ns(clock) + length;

	while (ns(clock) < until)
		for (volatile int i = 0; i < 10000; i++)
			;
}

/* Threads that have come to the end of their work. */
static int left;

static void leave(void)
{
	__atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &left, FUTEX_WAKE, INT_MAX, 0, 0, 0);
}

static void wait_until_left(int threads)
{
	int now;

	while ((now = __atomic_load_n(&left, __ATOMIC_SEQ_CST)) < threads)
		syscall(SYS_futex, &left, FUTEX_WAIT, now, 0, 0, 0);
}

static long long work;

static int working_thread(void *name)
{
	prctl(PR_SET_NAME, name);
	spin(CLOCK_THREAD_CPUTIME_ID, work);
	leave();
	wait_for(0);
	return 0;
}

/* Threads and children that exist already wait until this pipe is closed. */
static int release[2];
static long calls;

static int calling_thread(void *unused)
{
	(void)unused;
	wait_for(release[0]);
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	leave();
	return 0;
}

static int group_exit_thread(void *unused)
{
	(void)unused;
	wait_for(0);
	syscall(SYS_exit_group, 9);
	return 0;
}

static int thread(int (*body)(void *), void *argument)
{
	const int size = 64 * 1024;
	char *stack = malloc(size);

	return must(clone(body, stack + size,
			  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
			  argument));
}

/* Returns once a thread of a process sleeps in read(2). */
static void wait_until_reading(int pid, int tid)
{
	char path[64], text[16] = "";

	sprintf(path, "/proc/%d/task/%d/syscall", pid, tid);
	/* While it runs there is no number. */
	for (; text[0] < '0' || text[0] > '9' || atol(text) != SYS_read; sched_yield()) {
		int fd = must(open(path, O_RDONLY));

		must(read(fd, text, sizeof(text) - 1));
		close(fd);
	}
}

/* COUNT processes take turns: while one works, the others wait for theirs. */
static void take_turns(long count, const char *file)
{
	const int rounds = 40;
	int ends[8][2];

	for (int i = 0; i < count; i++)
		must(pipe(ends[i]));
	for (int i = 0; i < count; i++) {
		if (must(fork()) > 0)
			continue;
		for (int round = 0; round < rounds; round++) {
			wait_for(ends[i][0]);
			spin(CLOCK_PROCESS_CPUTIME_ID, work / rounds);
			must(write(ends[(i + 1) % count][1], "x", 1));
		}
		report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID));
		_exit(0);
	}
	must(write(ends[0][1], "x", 1));
}

/*
 * MS COUNT SHAPE FILE: COUNT threads or processes use a CPU for MS each, once a byte arrives; the program ends
 * when stdin is closed. What they used since then they measure themselves, each process for itself.
 */
static void use_cpu(long count, const char *shape, const char *file)
{
	long long before;

	wait_for(0);
	before = ns(CLOCK_PROCESS_CPUTIME_ID);
	if (!strcmp(shape, "alone")) {
		spin(CLOCK_PROCESS_CPUTIME_ID, work);
	} else if (!strcmp(shape, "threads")) {
		for (int i = 0; i < count; i++)
			thread(working_thread, "spin(ner) \n");
		wait_until_left(count);
	} else if (!strcmp(shape, "turns")) {
		take_turns(count, file);
	} else {
		for (int i = 0; i < count; i++) {
			if (must(fork()) == 0) {
				spin(CLOCK_PROCESS_CPUTIME_ID, work);
				report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID));
				_exit(i);
			}
		}
	}
	while (wait(0) > 0)
		;
	report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID) - before);
	report(file, "done", 1);
	wait_for(0);
}

/* MS CHILDREN FILE: they work, and exit unreaped once stdin has a byte. */
static void exit_unreaped(long children, const char *file)
{
	long long before = ns(CLOCK_PROCESS_CPUTIME_ID);

	signal(SIGCHLD, SIG_IGN);
	must(pipe(release));
	for (int i = 0; i < children; i++) {
		if (must(fork()) == 0) {
			close(release[1]);
			spin(CLOCK_PROCESS_CPUTIME_ID, work);
			report(file, "child", getpid());
			wait_for(release[0]);
			_exit(0);
		}
	}
	wait_for(0);
	close(release[1]);
	/* None is left then. */
	while (wait(0) > 0)
		;
	report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID) - before);
	wait_for(0);
}

/* MS FILE: a grandchild that detaches; we wait for its end, and then until stdin is closed. */
static void start_daemon(const char *file)
{
	long long before = ns(CLOCK_PROCESS_CPUTIME_ID);
	struct pollfd end = { .events = POLLIN };
	int daemon;

	must(pipe(release));
	if (must(fork()) == 0) {
		setsid();
		daemon = must(fork());
		if (daemon > 0) {
			must(write(release[1], &daemon, sizeof(daemon)));
			report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID));
			_exit(0);
		}
		wait_for(0);
		spin(CLOCK_PROCESS_CPUTIME_ID, work);
		report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID));
		_exit(0);
	}
	must(wait(0));
	must(read(release[0], &daemon, sizeof(daemon)));
	end.fd = must(syscall(SYS_pidfd_open, daemon, 0));
	report(file, "daemon", daemon);
	must(poll(&end, 1, -1));
	report(file, "cpu", ns(CLOCK_PROCESS_CPUTIME_ID) - before);
	wait_for(0);
}

/* N processes outlive their parent, and exit while we wait. */
static void leave_orphans(long n)
{
	int ends[2];

	must(pipe(release));
	must(pipe(ends));
	if (must(fork()) == 0) {
		close(release[1]);
		for (long i = 0; i < n; i++) {
			if (must(fork()) == 0) {
				wait_for(release[0]);
				_exit(0);
			}
		}
		_exit(0);
	}
	/* From here on they are orphans. */
	must(wait(0));
	close(release[1]);
	close(ends[1]);
	wait_for(ends[0]);
}

/* N processes, at most 32 live at a time: each exits once the one forked 32 later exists. */
static void swarm(long n)
{
	must(pipe(release));
	for (long i = 0; i < n; i++) {
		if (must(fork()) == 0) {
			close(release[1]);
			wait_for(release[0]);
			_exit(0);
		}
		if (i >= 31) {
			must(write(release[1], "x", 1));
			must(wait(0));
		}
	}
	close(release[1]);
	while (wait(0) > 0)
		;
}

/* CALLS FILE: forks as fast as it can until there is the file; prints "ready" then. */
static void storm(const char *file)
{
	for (long forks = 0; access(file, F_OK) != 0; forks++) {
		if (must(fork()) == 0) {
			for (long i = 0; i < calls; i++)
				syscall(SYS_getppid);
			_exit(0);
		}
		must(wait(0));
		if (forks == 20)
			must(write(1, "ready\n", 6));
	}
}

/*
 * The first process of a pid namespace ends only when no other process of it is left. One that is traced from outside
 * is left after it was killed, until its tracer has waited for it.
 */
static void exit_for_long(const char *file)
{
	int ends[2], child, first;
	char path[64];

	must(pipe(ends));
	must(pipe(release));
	must(unshare(CLONE_NEWPID));
	first = must(fork());
	if (first == 0) {
		if (must(fork()) == 0)
			pause();
		must(write(ends[1], "x", 1));
		wait_for(release[0]);
		_exit(0);
	}
	wait_for(ends[0]);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", first, first);
	child = must(open(path, O_RDONLY));
	must(read(child, path, sizeof(path)));
	child = atoi(path);
	must(ptrace(PTRACE_SEIZE, child, 0, 0));
	must(write(release[1], "x", 1));
	report(file, "exits", first);
	wait_for(0);
	must(waitpid(child, 0, __WALL));
	must(waitpid(first, 0, 0));
}

/* CALLS THREADS CHILDREN: once a byte arrives; exits with 7. */
static void gated(long threads, long children)
{
	int tasks[256][2], count = 0;

	must(pipe(release));
	for (int i = 0; i < threads; i++, count++) {
		tasks[count][0] = getpid();
		tasks[count][1] = thread(calling_thread, 0);
	}
	for (int i = 0; i < children; i++, count++) {
		int pid = must(fork());

		if (pid == 0) {
			close(release[1]);
			calling_thread(0);
			_exit(i);
		}
		tasks[count][0] = tasks[count][1] = pid;
	}
	while (count-- > 0)
		wait_until_reading(tasks[count][0], tasks[count][1]);
	must(write(1, "ready\n", 6));
	wait_for(0);
	close(release[1]);
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	wait_until_left(threads);
	while (wait(0) > 0)
		;
}

static int executing_thread(void *unused)
{
	(void)unused;
	execl("/proc/self/exe", "in-thread", "nothing", (char *)0);
	_exit(98);
}

/* N processes execute, every tenth first something that is not there. */
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
	char *volatile nowhere = (char *)16;
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
			execv(nowhere, many);
			break;
		case 3:
			execv(path, (char *[]){ "load", nowhere, 0 });
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

/*
 * Executes itself alternately as its user and, from a setuid file, as another user. The latter writes a secret, also
 * after it has become its user again.
 */
static void execute_in_turn(long rounds, char *own, char *others)
{
	int out = must(open("/dev/null", O_WRONLY));
	char left[16];

	if (geteuid() != getuid()) {
		must(write(out, "hunter2", 7));
		must(setresuid(getuid(), getuid(), getuid()));
		must(write(out, "hunter2", 7));
	}
	if (rounds == 0)
		return;
	snprintf(left, sizeof(left), "%ld", rounds - 1);
	execl(rounds % 2 ? others : own, "load", "in-turn", left, own, others, (char *)0);
	must(-1);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	const char *file = argv[argc - 1];
	long first = argc > 2 ? atol(argv[2]) : 0, second = argc > 3 ? atol(argv[3]) : 0;

	work = first * 1000000LL;
	calls = first;
	if (!strcmp(mode, "cpu")) {
		use_cpu(second, argv[4], file);
	} else if (!strcmp(mode, "unreaped")) {
		exit_unreaped(second, file);
	} else if (!strcmp(mode, "daemon")) {
		start_daemon(file);
	} else if (!strcmp(mode, "orphans")) {
		leave_orphans(first);
	} else if (!strcmp(mode, "grow")) { /* MIB FILE: resident until a byte arrives, then unmapped */
		char *memory = mmap(0, first << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(memory, 1, first << 20);
		report(file, "grown", getpid());
		wait_for(0);
		munmap(memory, first << 20);
		wait_for(0);
	} else if (!strcmp(mode, "share")) { /* MIB N FILE: N children have it too, until stdin is closed */
		char *memory = mmap(0, first << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(memory, 1, first << 20);
		for (long i = 0; i < second; i++) {
			pid_t child = must(fork());

			if (child == 0) {
				wait_for(0);
				_exit(0);
			}
			report(file, "shares", child);
		}
		wait_for(0);
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "touch")) { /* PAGES page faults, and those of any program */
		long page = sysconf(_SC_PAGESIZE);
		char *memory = mmap(0, first * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		/* One for each page. */
		madvise(memory, first * page, MADV_NOHUGEPAGE);
		for (long i = 0; i < first; i++)
			memory[i * page] = 1;
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
	} else if (!strcmp(mode, "crowd")) { /* N processes live until stdin is closed */
		for (long i = 0; i < first; i++) {
			if (must(fork()) == 0) {
				wait_for(0);
				_exit(0);
			}
		}
		while (wait(0) > 0)
			;
	} else if (!strcmp(mode, "executes")) { /* N */
		execute(first);
	} else if (!strcmp(mode, "executes-oddly")) { /* FILE */
		execute_oddly(file);
	} else if (!strcmp(mode, "executes-later")) { /* N: once a byte arrives */
		must(write(1, "ready\n", 6));
		wait_for(0);
		execute(first);
	} else if (!strcmp(mode, "swarm")) {
		swarm(first);
	} else if (!strcmp(mode, "odd")) { /* a name with `)` and newline, no descriptor, another user; until SIGUSR1 */
		sigset_t usr1;
		int signal;

		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		sigprocmask(SIG_BLOCK, &usr1, 0);
		for (int fd = 0; fd < 256; fd++)
			close(fd);
		setgid(65534);
		setuid(65534);
		prctl(PR_SET_NAME, "a) R 1 (b\n");
		sigwait(&usr1, &signal);
		return 5;
	} else if (!strcmp(mode, "reads-by-int80")) { /* what arrives on stdin, through the 32-bit entry of x86-64 */
		read_by_int80();
	} else if (!strcmp(mode, "exits-for-long")) { /* FILE: a process that has begun to exit, until stdin is closed */
		exit_for_long(file);
	} else if (!strcmp(mode, "gated")) {
		gated(second, atol(argv[4]));
		return 7;
	} else if (!strcmp(mode, "in-turn")) { /* N OWN OTHERS: once stdin is closed, if it is open */
		wait_for(0);
		execute_in_turn(first, argv[3], argv[4]);
	} else if (!strcmp(mode, "storm")) {
		storm(file);
	} else if (!strcmp(mode, "leaderless")) { /* FILE: the leader ends first, with 3; once a byte arrives all, with 9 */
		report(file, "leader", getpid());
		thread(group_exit_thread, 0);
		syscall(SYS_exit, 3);
	} else if (!strcmp(mode, "zombie")) { /* a child that ended and is not waited for, until stdin is closed */
		if (must(fork()) == 0)
			_exit(42);
		wait_for(0);
	} else {
		return 97;
	}
	return 0;
}
