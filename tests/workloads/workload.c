/*
 * Programs whose system calls are known. Each mode makes the same calls at every run, so that
 * strace and denet must agree on each of them; waiting is done by spinning where the number of
 * calls would otherwise depend on timing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void call(long nr, long times)
{
	while (times-- > 0)
		syscall(nr, -1, -1, -1, -1, -1, -1);
}

static int must(int result)
{
	if (result < 0)
		_exit(99);
	return result;
}

static void reap(long children)
{
	while (children-- > 0)
		must(waitpid(-1, 0, 0));
}

static int number(char **argv, int at)
{
	return argv[at] ? atoi(argv[at]) : 0;
}

/* children N: one after the other. */
static void children(long n)
{
	while (n-- > 0) {
		if (must(fork()) == 0) {
			call(SYS_getppid, 3);
			_exit(0);
		}
		reap(1);
	}
}

/* tree DEPTH: three children a node. */
static void tree(int depth)
{
	sigset_t children_ended;

	/* A traced task is interrupted by the SIGCHLD that others ignore, and forks again. */
	sigemptyset(&children_ended);
	sigaddset(&children_ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children_ended, 0);
	call(SYS_getppid, depth + 1);
	if (depth == 0)
		return;
	for (int i = 0; i < 3; i++) {
		if (must(fork()) == 0) {
			tree(depth - 1);
			_exit(0);
		}
	}
	reap(3);
}

static volatile int expected;
static volatile int arrived;
static volatile int left;
static volatile int begotten;
static char **exec_argv;

static int thread_body(void *calls)
{
	__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
	while (arrived < expected)
		__builtin_ia32_pause();
	call(SYS_getppid, (long)calls);
	__atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int exec_body(void *unused)
{
	(void)unused;
	/* The execution ends who begot this thread: strace counts a clone only once that has returned. */
	while (!begotten)
		__builtin_ia32_pause();
	call(SYS_getppid, 5);
	execv("/proc/self/exe", exec_argv);
	_exit(98);
}

static void thread(int (*body)(void *), void *argument)
{
	const int size = 64 * 1024;
	char *stack = malloc(size);

	must(clone(body, stack + size,
		   CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
		   argument));
}

/* threads N CALLS: all alive at once. */
static void threads(int n, long calls)
{
	expected = n;
	for (int i = 0; i < n; i++)
		thread(thread_body, (void *)calls);
	while (left < n)
		__builtin_ia32_pause();
}

static int terminal;

static void on_signal(int signal)
{
	/* A terminal that is not ours any more may be read. */
	if (signal == SIGTTIN)
		must(ioctl(terminal, TIOCNOTTY, 0));
}

/* A process in the background that reads from its terminal: the read itself makes the kernel send SIGTTIN. */
static void read_in_the_background(void)
{
	char byte;

	must(setpgid(0, 0));
	must(read(terminal, &byte, 1));
	_exit(0);
}

/* Handlers, and a read that is restarted. */
static void signals(void)
{
	struct sigaction restart = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int master, locked = 0;

	sigaction(SIGUSR1, &restart, 0);
	sigaction(SIGTTIN, &restart, 0);
	for (int i = 0; i < 50; i++)
		kill(getpid(), SIGUSR1);
	if (must(fork()) == 0) {
		must(setsid());
		master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
		must(ioctl(master, TIOCSPTLCK, &locked));
		terminal = must(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
		must(ioctl(terminal, TIOCSCTTY, 0));
		must(write(master, "x\n", 2));
		if (must(fork()) == 0)
			read_in_the_background();
		reap(1);
		_exit(0);
	}
	reap(1);
}

static void read_proc(pid_t pid, const char *name, char *text, int size)
{
	char path[64];
	int fd;

	sprintf(path, "/proc/%d/%s", pid, name);
	fd = must(open(path, O_RDONLY));
	text[must(read(fd, text, size - 1))] = 0;
	close(fd);
}

/* Returns once a process sleeps in this system call. */
static void wait_until_in(pid_t pid, long nr)
{
	char text[256];
	char *rest;

	/* While it runs there is no number. */
	do {
		sched_yield();
		read_proc(pid, "syscall", text, sizeof(text));
	} while (strtol(text, &rest, 10) != nr || rest == text);
}

/* Returns once the leader of a process is in this state. */
static void wait_until_state(pid_t pid, char state)
{
	char text[256];

	do {
		sched_yield();
		read_proc(pid, "stat", text, sizeof(text));
	} while (strrchr(text, ')')[2] != state);
}

/* A sleep that a stop interrupts: the kernel goes on with restart_syscall. A signal ends it, not the time. */
static void stopped(void)
{
	const struct sigaction end = { .sa_handler = on_signal };
	const struct timespec nap = { .tv_sec = 1000000 };

	sigaction(SIGUSR1, &end, 0);
	if (must(fork()) == 0) {
		pid_t parent = getppid();

		wait_until_in(parent, SYS_nanosleep);
		kill(parent, SIGSTOP);
		wait_until_state(parent, 'T');
		kill(parent, SIGCONT);
		wait_until_in(parent, SYS_restart_syscall);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	syscall(SYS_nanosleep, &nap, 0);
	reap(1);
}

static long int80(long nr)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(-1), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* int80 N: the same number through both entries. */
static void compat(long n)
{
	while (n-- > 0) {
		int80(20); /* getpid there */
		if (n % 3 == 0)
			syscall(20, -1, 0, 0); /* writev here */
	}
}

/* From here on seccomp answers this call with an errno, if its first argument is that; -1 is any. */
static void deny(unsigned nr, int first, unsigned with)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 0, first < 0 ? 0 : 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | with),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	/* root needs none, and a program that it starts so may gain capabilities still. */
	if (geteuid() != 0)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

/* seccomp N: getppid is denied before the tracepoint, getpid is not. */
static void seccomp(long n)
{
	deny(SYS_getppid, -1, EPERM);
	for (long i = 0; i < n; i++) {
		syscall(SYS_getppid);
		syscall(SYS_getpid);
	}
}

/* Numbers that no table holds. */
static void odd(void)
{
	call(9999, 7);
	call(-5, 6);
	call(511, 5);
	call(512, 4);
	call(0x7fffffff, 3);
}

/* More kinds of calls than a task has cells for; bad arguments make them harmless. */
static void many(long times)
{
	static const int harmless[] = {
		SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_lseek, SYS_ioctl, SYS_pread64, SYS_pwrite64,
		SYS_readv, SYS_writev, SYS_access, SYS_sched_yield, SYS_dup, SYS_getpid, SYS_getppid,
		SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_gettid, SYS_fcntl, SYS_flock,
		SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir,
		SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat, SYS_link, SYS_unlink, SYS_symlink, SYS_readlink,
		SYS_chmod, SYS_fchmod, SYS_chown, SYS_fchown, SYS_lchown, SYS_getpgid, SYS_getsid,
		SYS_getpgrp, SYS_times, SYS_sysinfo, SYS_uname, SYS_listen, SYS_bind, SYS_connect,
		SYS_getsockname, SYS_getpeername, SYS_shutdown, SYS_accept, SYS_msgctl, SYS_shmctl, SYS_semctl,
		SYS_getxattr, SYS_setxattr, SYS_listxattr, SYS_removexattr, SYS_capget, SYS_capset,
		SYS_statfs, SYS_fstatfs, SYS_sched_getparam, SYS_sched_getscheduler, SYS_mlock, SYS_munlock,
		SYS_mincore, SYS_msync, SYS_statx, SYS_openat, SYS_newfstatat, SYS_unlinkat, SYS_faccessat,
		SYS_timerfd_gettime, SYS_epoll_ctl, SYS_inotify_rm_watch, SYS_getcpu, SYS_sync_file_range,
	};

	while (times-- > 0)
		for (unsigned i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
			call(harmless[i], 1);
}

/* hammer PROCESSES CALLS: all at the same number, all at once. */
static void hammer(int processes, long calls)
{
	for (int i = 0; i < processes; i++) {
		if (must(fork()) == 0) {
			call(SYS_getppid, calls);
			_exit(0);
		}
	}
	reap(processes);
}

/*
 * daemonise SECONDS CALLS [FILE]: a grandchild in a session of its own outlives the parent, which waits for its
 * name. With 0 it lives until stdin is closed. Our process id is written into the file.
 */
static void daemonise(int seconds, long calls, const char *file)
{
	struct timespec nap = { .tv_sec = seconds };
	int named[2];
	char none;

	if (file) {
		int fd = must(open(file, O_WRONLY | O_CREAT, 0600));

		dprintf(fd, "%d\n", getpid());
		close(fd);
	}
	must(pipe(named));
	if (must(fork()) > 0) {
		close(named[1]);
		reap(1);
		read(named[0], &none, 1);
		return;
	}
	setsid();
	if (must(fork()) > 0)
		_exit(0);
	prctl(PR_SET_NAME, "daemon");
	close(named[1]);
	call(SYS_getppid, calls);
	if (seconds)
		syscall(SYS_nanosleep, &nap, 0);
	else
		must(read(0, &none, 1));
	call(SYS_getppid, calls);
	_exit(0);
}

/* live N: so many processes at once; each waits until the last has begun. */
static void live(int n)
{
	int started[2];
	char none;

	must(pipe(started));
	for (int i = 0; i < n; i++) {
		if (must(fork()) == 0) {
			call(SYS_getppid, 2);
			close(started[1]);
			read(started[0], &none, 1);
			_exit(0);
		}
	}
	close(started[1]);
	reap(n);
}

/* names N: as many executions that fail, each under a name of its own. */
static void names(long n)
{
	char name[16];

	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%ld", i);
		must(prctl(PR_SET_NAME, name));
		execl("/nowhere", name, (char *)0);
	}
}

/* attempts N: as many executions that fail, of a long path. */
static void attempts(long n)
{
	char path[1000];

	memset(path, 'p', sizeof(path));
	memcpy(path, "/nowhere/", 9);
	path[sizeof(path) - 1] = 0;
	while (n-- > 0)
		execl(path, "p", (char *)0);
}

/* leave N FORKS: so many children, left behind, that go on forking; each has forked once when we end. */
static void leave(int n, int forks)
{
	int begun[2];
	char byte;

	must(pipe(begun));
	for (int i = 0; i < n; i++) {
		if (must(fork()) == 0) {
			children(1);
			must(write(begun[1], "x", 1));
			children(forks - 1);
			_exit(0);
		}
	}
	while (n-- > 0)
		must(read(begun[0], &byte, 1));
}

/*
 * others: short-lived processes making a call no other process makes, until this one is killed or its parent
 * thread ends.
 */
static void others(void)
{
	must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	for (;;) {
		if (must(fork()) == 0) {
			call(SYS_getpgrp, 20);
			_exit(0);
		}
		reap(1);
	}
}

/* Says that all is set up, and waits for a byte. */
static void ready(void)
{
	char byte;

	must(write(1, "ready\n", 6));
	must(read(0, &byte, 1));
}

/*
 * relay CHAINS CALLS: each process begets the next and ends at once, so that nobody lives long; once a
 * byte comes, those who live then make their calls. We are the parent of all whose own is gone.
 */
static void relay(int chains, long calls)
{
	volatile int *go = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < chains; i++) {
		if (must(fork()) > 0)
			continue;
		while (!*go)
			if (must(fork()) > 0)
				_exit(0);
		call(SYS_getpgrp, calls);
		_exit(0);
	}
	ready();
	*go = 1;
	while (wait(0) > 0 || errno != ECHILD)
		;
}

static char *until_file;

static int rethread_body(void *next)
{
	execl("/proc/self/exe", "workload", "rethread", until_file, (char *)next, (char *)0);
	_exit(98);
}

/*
 * rethread FILE: executes itself from threads that are not the leader until there is the file; then calls.
 * It says when the first of them has.
 */
static void rethread(const char *at)
{
	if (!strcmp(at, "second"))
		must(write(1, "ready\n", 6));
	if (access(until_file, F_OK) == 0) {
		call(SYS_getpgrp, 1000);
		return;
	}
	thread(rethread_body, strcmp(at, "first") ? "later" : "second");
	for (;;)
		__builtin_ia32_pause();
}

/* The ids that a task has for itself. */
static void print_ids(const char *task)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %ld %ld\n", task, syscall(SYS_getpid), syscall(SYS_gettid));

	must(write(1, line, length));
}

static volatile int thread_is_done;

static int ids_thread(void *unused)
{
	(void)unused;
	print_ids("thread");
	call(SYS_getppid, 3);
	thread_is_done = 1;
	return 0;
}

static int ids_execute(void *unused)
{
	(void)unused;
	print_ids("before");
	execl("/proc/self/exe", "workload", "ids-after", (char *)0);
	_exit(98);
}

/* ids: once a byte comes, a thread, a child, and a program that a thread of the child executes print their ids. */
static void ids(void)
{
	int pair[2];

	ready();
	print_ids("main");
	call(SYS_getppid, 3);
	thread(ids_thread, 0);
	while (!thread_is_done)
		__builtin_ia32_pause();
	if (must(fork()) == 0) {
		print_ids("child");
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		must(write(pair[0], "x", 1));
		thread(ids_execute, 0);
		for (;;)
			__builtin_ia32_pause();
	}
	reap(1);
}

static volatile int duelling;

static int duel_body(void *unused)
{
	(void)unused;
	duelling = 1;
	while (duelling < 2)
		__builtin_ia32_pause();
	syscall(SYS_exit, 5);
	return 0;
}

/* Waits for children, and writes of each "pid status", as wait(2) tells it. */
static void reap_telling(long children, FILE *told)
{
	int status;

	while (children-- > 0) {
		pid_t pid = must(waitpid(-1, &status, 0));

		fprintf(told, "%d %d\n", pid, status);
	}
	fflush(told);
}

/* duel N FILE: two threads end at the same moment, the leader with 3. */
static void duel(long n, FILE *told)
{
	while (n-- > 0) {
		if (must(fork()) == 0) {
			thread(duel_body, 0);
			while (duelling < 1)
				__builtin_ia32_pause();
			duelling = 2;
			syscall(SYS_exit, 3);
		}
		reap_telling(1, told);
	}
}

static void wait_for_close(int end)
{
	char byte;

	must(read(end, &byte, 1) == 0 ? 0 : -1);
}

static int left_body(void *end)
{
	wait_for_close((int)(long)end);
	call(SYS_getpgrp, 10);
	syscall(SYS_exit, 5);
	return 0;
}

static int group_exit_body(void *unused)
{
	(void)unused;
	syscall(SYS_exit_group, 23);
	return 0;
}

/* endings FILE: children that end in each way; the first has lost its leader, with 3, before anybody looks. */
static void endings(FILE *told)
{
	int gate[2];
	pid_t first = 0;

	must(pipe(gate));
	for (int i = 0; i < 5; i++) {
		pid_t pid = must(fork());

		first = first ? first : pid;
		if (pid > 0)
			continue;
		close(gate[1]);
		if (i == 0) {
			thread(left_body, (void *)(long)gate[0]);
			syscall(SYS_exit, 3);
		}
		wait_for_close(gate[0]);
		if (i == 1)
			_exit(17);
		if (i == 2)
			kill(getpid(), SIGKILL);
		if (i == 3)
			kill(getpid(), SIGTERM);
		thread(group_exit_body, 0);
		for (;;)
			__builtin_ia32_pause();
	}
	close(gate[0]);
	wait_until_state(first, 'Z');
	ready();
	close(gate[1]);
	reap_telling(5, told);
}

extern char **environ;

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "single";

	if (!strcmp(mode, "single")) {
		call(SYS_getppid, 1000);
		call(SYS_getuid, 100);
	} else if (!strcmp(mode, "children")) {
		children(number(argv, 2));
	} else if (!strcmp(mode, "tree")) {
		tree(number(argv, 2));
	} else if (!strcmp(mode, "threads")) {
		threads(number(argv, 2), number(argv, 3));
	} else if (!strcmp(mode, "exec")) {
		execv("/proc/self/exe", (char *[]){ "single", 0 });
	} else if (!strcmp(mode, "exec-thread")) {
		exec_argv = (char *[]){ "single", 0 };
		thread(thread_body, (void *)20);
		while (left < 1)
			__builtin_ia32_pause();
		thread(exec_body, 0);
		begotten = 1;
		for (;;)
			__builtin_ia32_pause();
	} else if (!strcmp(mode, "spawn")) {
		char *child[] = { "single", 0 };
		pid_t pid = must(vfork());

		if (pid == 0) {
			execv("/proc/self/exe", child);
			_exit(98);
		}
		must(posix_spawn(&pid, "/proc/self/exe", 0, 0, child, environ));
		reap(2);
	} else if (!strcmp(mode, "signals")) {
		signals();
	} else if (!strcmp(mode, "stopped")) {
		stopped();
	} else if (!strcmp(mode, "int80")) {
		compat(number(argv, 2));
	} else if (!strcmp(mode, "seccomp")) {
		seccomp(number(argv, 2));
	} else if (!strcmp(mode, "deny-bpf")) {
		deny(SYS_bpf, -1, number(argv, 2));
		execv(argv[3], argv + 3);
		return 98;
	} else if (!strcmp(mode, "deny")) { /* NUMBER FIRST-ARGUMENT ERRNO PROGRAM... */
		deny(number(argv, 2), number(argv, 3), number(argv, 4));
		execv(argv[5], argv + 5);
		return 98;
	} else if (!strcmp(mode, "odd")) {
		odd();
	} else if (!strcmp(mode, "many")) {
		many(number(argv, 2));
	} else if (!strcmp(mode, "names")) {
		names(number(argv, 2));
	} else if (!strcmp(mode, "attempts")) {
		attempts(number(argv, 2));
	} else if (!strcmp(mode, "hammer")) {
		hammer(number(argv, 2), number(argv, 3));
	} else if (!strcmp(mode, "daemonise")) {
		daemonise(number(argv, 2), number(argv, 3), number(argv, 3) ? argv[4] : 0);
	} else if (!strcmp(mode, "leave")) {
		leave(number(argv, 2), number(argv, 3));
	} else if (!strcmp(mode, "others")) {
		others();
	} else if (!strcmp(mode, "live")) {
		live(number(argv, 2));
	} else if (!strcmp(mode, "relay")) {
		relay(number(argv, 2), number(argv, 3));
	} else if (!strcmp(mode, "rethread")) {
		until_file = argv[2];
		rethread(argv[3] ? argv[3] : "first");
	} else if (!strcmp(mode, "ids")) {
		ids();
	} else if (!strcmp(mode, "ids-after")) {
		print_ids("after");
		call(SYS_getppid, 3);
	} else if (!strcmp(mode, "duel")) {
		duel(number(argv, 2), fopen(argv[3], "w"));
	} else if (!strcmp(mode, "nameless")) { /* DIR: a file that has no name */
		must(fsync(must(open(argv[2], O_TMPFILE | O_RDWR, 0600))));
	} else if (!strcmp(mode, "argless")) { /* executes what is not there, with no list of arguments */
		syscall(SYS_execve, "/nonexistent", 0, 0);
	} else if (!strcmp(mode, "endings")) {
		endings(fopen(argv[2], "w"));
	} else {
		return 97;
	}
	return 0;
}
