/* Makes many calls, the same way each time. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define S(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define AT AT_FDCWD

struct how { unsigned long flags, mode, resolve; };
static char buf[8192];
static struct stat st;

static void files(void) {
    S(chdir, "/tmp/denet-trace"); S(umask, 022);
    int d = S(openat, AT, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int f = S(openat, AT, "a", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    S(open, "missing", O_RDONLY); S(open, "b", O_WRONLY | O_CREAT | O_EXCL, 0600); S(creat, "c", 0640);
    struct how how = {O_RDONLY | O_CLOEXEC, 0, 8};
    S(openat2, AT, "a", &how, sizeof(how)); S(openat2, d, "../etc", &how, sizeof(how));
    S(write, f, "hello \"world\"\n\0\1\0339\377\\", 20); S(write, f, buf, 100); S(write, f, "", 0);
    S(write, -1, "x", 1); S(write, f, (void *)16, 5);
    S(pwrite64, f, "0123456789012345678901234567890123456789", 40, 3);
    S(lseek, f, 0, SEEK_SET); S(lseek, f, 0, SEEK_DATA); S(lseek, f, -1, SEEK_CUR);
    S(read, f, buf, 10); S(read, f, buf, 4096); S(read, f, buf, 4096); S(read, f, NULL, 4096); S(read, -1, buf, 1);
    S(pread64, f, buf, 5, 0);
    struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
    S(writev, f, v, 2); v[0].iov_base = v[1].iov_base = buf; S(readv, f, v, 2); S(preadv, f, v, 2, 0L, 0L);
    S(pwritev2, f, v, 2, 0L, 0L, 2); S(writev, f, NULL, 0); S(writev, -1, v, 1);
    S(fstat, f, &st); S(stat, "/dev/null", &st); S(lstat, "nothing", &st); S(newfstatat, d, "a", &st, AT_SYMLINK_NOFOLLOW);
    S(newfstatat, AT, "/etc", &st, 0); S(newfstatat, f, "", &st, AT_EMPTY_PATH);
    S(statx, AT, "a", AT_STATX_SYNC_AS_STAT, STATX_ALL, buf); S(statx, AT, "x", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MODE | STATX_SIZE, buf);
    S(statfs, "/proc", buf); S(fstatfs, -1, buf); S(access, "a", R_OK | W_OK); S(access, "zz", F_OK);
    S(faccessat, AT, "a", X_OK); S(faccessat2, AT, "a", R_OK, AT_EACCESS); S(fchdir, d); S(getcwd, buf, 4096); S(getcwd, buf, 2);
    S(mkdir, "dir", 0755); S(mkdirat, d, "dir", 0700); S(rmdir, "dir"); S(symlink, "a", "link"); S(symlinkat, "target\n", d, "link2");
    S(readlink, "link", buf, 4096); S(readlinkat, AT, "link2", buf, 4096); S(readlink, "a", buf, 10); S(link, "a", "hard");
    S(linkat, d, "a", AT, "hard2", 0); S(rename, "hard", "hard3"); S(renameat, d, "hard3", d, "hard4");
    S(renameat2, AT, "hard4", AT, "hard2", RENAME_NOREPLACE); S(unlink, "hard4"); S(unlinkat, d, "hard2", 0); S(unlinkat, AT, "nodir", AT_REMOVEDIR);
    S(chmod, "a", 04755); S(fchmod, f, 0600); S(fchmodat, AT, "a", 0644); S(chown, "a", -1, 0); S(lchown, "link", 0, -1);
    S(fchown, f, 0, 0); S(fchownat, AT, "a", 0, 0, AT_SYMLINK_NOFOLLOW); S(mknod, "fifo", S_IFIFO | 0600, 0); S(mknodat, AT, "null", S_IFCHR | 0666, 0x103); S(mknodat, AT, "reg", 0644, 0);
    S(truncate, "a", 5L); S(ftruncate, f, 3L); S(fallocate, f, FALLOC_FL_KEEP_SIZE, 0L, 4096L); S(fadvise64, f, 0L, 0L, POSIX_FADV_SEQUENTIAL);
    struct timespec ts[2] = {{1, 2}, {0, UTIME_NOW}}; struct timeval tv[2] = {{1, 2}, {3, 4}};
    S(utimensat, AT, "a", ts, 0); S(utimensat, f, NULL, NULL, 0); ts[0].tv_nsec = UTIME_OMIT; S(utimensat, AT, "a", ts, AT_SYMLINK_NOFOLLOW); S(utimes, "a", tv); S(futimesat, AT, "a", tv);
    S(setxattr, "a", "user.x", "value", 5, 0); S(getxattr, "a", "user.x", buf, 100); S(fgetxattr, f, "user.none", buf, 100); S(listxattr, "a", buf, 100); S(removexattr, "a", "user.x"); S(lgetxattr, "a", "user.x", NULL, 0);
    S(fsync, f); S(fdatasync, f); S(flock, f, LOCK_EX | LOCK_NB); S(flock, f, LOCK_UN); S(sync_file_range, f, 0L, 0L, 2);
    S(mount, "none", "/nowhere", "tmpfs", MS_NOSUID | MS_NODEV, "size=1"); S(mount, NULL, "/nowhere", NULL, MS_BIND | MS_REC, NULL); S(umount2, "/nowhere", MNT_DETACH); S(chroot, "/nowhere"); S(pivot_root, "/nowhere", "/none");
    int in = S(inotify_init1, IN_CLOEXEC | IN_NONBLOCK); S(inotify_add_watch, in, ".", IN_CREATE | IN_DELETE); S(inotify_rm_watch, in, 1);
    long off = 1; S(sendfile, f, d, &off, 10); int g = S(openat, AT, "b", O_RDWR); off = 0; S(sendfile, g, f, &off, 3); S(copy_file_range, f, &off, g, NULL, 10, 0);
    S(openat, AT, "/tmp/denet-trace/very/long/path/that/does/not/exist/but/is/longer/than/thirty-two", O_RDONLY | O_NONBLOCK); S(openat, AT, (void *)1, O_RDONLY);
    S(openat, AT, ".", O_RDWR | O_TMPFILE, 0600); S(openat, AT, "\33[31mred\n", O_WRONLY | O_APPEND | O_SYNC | O_NOFOLLOW); S(open_tree, AT, "/nowhere", 0);
    S(close, f); S(close, 99); S(close_range, 50, ~0U, 0); S(sync);
}
static void descriptors(void) {
    int p[2], f; S(pipe, p); S(pipe2, p, O_CLOEXEC | O_NONBLOCK); S(pipe2, NULL, 0);
    f = S(dup, p[0]); S(dup2, p[0], 60); S(dup3, p[0], 61, O_CLOEXEC); S(dup, -1);
    S(fcntl, f, F_GETFD); S(fcntl, f, F_SETFD, FD_CLOEXEC); S(fcntl, f, F_GETFD); S(fcntl, f, F_GETFL); S(fcntl, f, F_SETFL, O_NONBLOCK | O_APPEND); S(fcntl, f, F_DUPFD, 70); S(fcntl, f, F_DUPFD_CLOEXEC, 71); S(fcntl, f, 9999, 1);
    struct flock lk = {F_WRLCK, SEEK_SET, 1, 2, 0}; S(fcntl, 5, F_SETLK, &lk); S(fcntl, 5, F_GETLK, &lk); S(fcntl, f, F_GETPIPE_SZ); S(fcntl, f, F_SETPIPE_SZ, 4096); S(fcntl, f, F_GETOWN);
    S(ioctl, 0, TIOCGWINSZ, buf); S(ioctl, p[0], FIONREAD, buf); int one = 1; S(ioctl, p[0], FIONBIO, &one); S(ioctl, p[0], 0x12345678, 0x77); S(ioctl, p[0], FIOCLEX); S(ioctl, 0, TCGETS, buf);
    S(write, p[1], "x", 1); struct pollfd pf[3] = {{p[0], POLLIN, 0}, {p[1], POLLIN | POLLOUT, 0}, {-1, POLLIN, 0}};
    S(poll, pf, 3, 0); S(poll, pf + 2, 1, 1); S(poll, NULL, 0, 1); S(poll, (void *)8, 1, 0); struct timespec t = {0, 1000}; sigset_t m; sigemptyset(&m); sigaddset(&m, SIGUSR1); S(ppoll, pf, 1, &t, &m, 8); S(ppoll, pf + 2, 1, &t, NULL, 8);
    int e = S(epoll_create1, EPOLL_CLOEXEC); S(epoll_create, 1); struct epoll_event ev = {EPOLLIN | EPOLLET, {.u64 = 0x1122334455667788}};
    S(epoll_ctl, e, EPOLL_CTL_ADD, p[0], &ev); S(epoll_ctl, e, EPOLL_CTL_ADD, p[0], &ev); struct epoll_event got[4]; S(epoll_wait, e, got, 4, 0); S(epoll_pwait, e, got, 4, 0, NULL, 8); S(epoll_ctl, e, EPOLL_CTL_DEL, p[0], NULL); S(epoll_wait, e, got, 4, 0); S(epoll_pwait2, e, got, 4, &t, &m, 8);
    int ef = S(eventfd2, 3, EFD_NONBLOCK | EFD_CLOEXEC); S(read, ef, buf, 8); S(eventfd, 0);
    S(signalfd4, -1, &m, 8, SFD_CLOEXEC); int mf = S(memfd_create, "name", MFD_CLOEXEC | MFD_ALLOW_SEALING); S(fcntl, mf, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL); S(fcntl, mf, F_GET_SEALS);
    S(splice, p[0], NULL, mf, NULL, 1, SPLICE_F_NONBLOCK); S(tee, p[0], p[1], 10, 0); struct iovec v = {"q", 1}; S(vmsplice, p[1], &v, 1, SPLICE_F_NONBLOCK);
    int tf = S(timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK); struct itimerspec it = {{0, 0}, {100, 5}}, was; S(timerfd_settime, tf, 0, &it, NULL); it.it_value.tv_sec = 0; it.it_value.tv_nsec = 0; S(timerfd_settime, tf, TFD_TIMER_ABSTIME, &it, NULL); S(timerfd_gettime, tf, &was); S(timerfd_gettime, -1, &was);
}
static void memory(void) {
    char *m = (char *)S(mmap, NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    S(mmap, 0x10000000, 4096, PROT_NONE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); S(mmap, NULL, 4096, PROT_READ, MAP_SHARED, 99, 4096); S(mmap, NULL, 0, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << 26), -1, 0);
    S(mprotect, m, 4096, PROT_READ | PROT_EXEC); S(madvise, m, 4096, MADV_DONTNEED); S(msync, m, 4096, MS_SYNC); S(mincore, m, 4096, buf); S(mlock, m, 4096); S(munlock, m, 4096); S(mlock2, m, 4096, MLOCK_ONFAULT); S(munlockall); S(mremap, m, 8192, 4096, MREMAP_MAYMOVE); S(mremap, m, 0, 0, MREMAP_MAYMOVE | MREMAP_FIXED, 0x2000); S(munmap, m, 4096); S(brk, 0); S(brk, 1);
    int id = S(shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600); void *a = (void *)S(shmat, id, NULL, SHM_RDONLY); S(shmdt, a); S(shmctl, id, IPC_RMID, NULL); S(shmget, 0x1234, 1, 0);
    id = S(semget, IPC_PRIVATE, 1, IPC_CREAT | 0600); struct sembuf so = {0, 1, SEM_UNDO}; S(semop, id, &so, 1); S(semctl, id, 0, IPC_RMID, 0);
}
static void sockets(void) {
    struct sockaddr_in in = {AF_INET, htons(8099), {htonl(0x7f000001)}}, peer; struct sockaddr_in6 in6 = {AF_INET6, htons(8100), htonl(7), IN6ADDR_LOOPBACK_INIT, 0}; struct sockaddr_un un = {AF_UNIX, "sock"}, ab = {AF_UNIX, "\0abs\33"}; socklen_t len = sizeof(peer); int one = 1; struct linger li = {1, 2}; struct timeval tv = {1, 500};
    int s = S(socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), c = S(socket, AF_INET, SOCK_STREAM, 0), u = S(socket, AF_INET, SOCK_DGRAM, IPPROTO_IP), x = S(socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), n = S(socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), v6 = S(socket, AF_INET6, SOCK_DGRAM, IPPROTO_UDP); S(socket, 99, 1, 0);
    S(setsockopt, s, SOL_SOCKET, SO_REUSEADDR, &one, 4); S(setsockopt, s, SOL_SOCKET, SO_LINGER, &li, 8); S(setsockopt, s, SOL_SOCKET, SO_RCVTIMEO, &tv, 16); S(setsockopt, s, SOL_TCP, TCP_NODELAY, &one, 4); S(setsockopt, v6, SOL_IPV6, IPV6_V6ONLY, &one, 4); S(setsockopt, s, SOL_TCP, TCP_CONGESTION, "cubic", 5); S(setsockopt, s, SOL_IP, IP_TTL, &one, 4);
    len = 4; S(getsockopt, s, SOL_SOCKET, SO_ERROR, &one, &len); S(getsockopt, s, SOL_SOCKET, SO_TYPE, &one, &len); len = 8; S(getsockopt, s, SOL_SOCKET, SO_LINGER, &li, &len);
    S(bind, s, &in, sizeof(in)); S(listen, s, 5); S(connect, c, &in, sizeof(in)); len = sizeof(peer); in.sin_port = htons(9999); S(getsockname, s, &peer, &len); S(getpeername, s, &peer, &len); S(accept4, s, NULL, NULL, SOCK_CLOEXEC); S(connect, u, &in, sizeof(in)); S(bind, v6, &in6, sizeof(in6));
    S(sendto, c, "hi", 2, MSG_NOSIGNAL, NULL, 0); S(sendto, u, "hi there", 8, MSG_DONTWAIT, &in, sizeof(in)); S(recvfrom, u, buf, 100, MSG_DONTWAIT | MSG_PEEK, NULL, NULL); S(sendto, v6, "to me", 5, 0, &in6, sizeof(in6)); len = sizeof(in6); S(recvfrom, v6, buf, 100, 0, &in6, &len); len = 100; S(recvfrom, v6, buf, 100, MSG_DONTWAIT, &in6, &len);
    S(bind, x, &un, sizeof(un)); S(listen, x, 1); S(connect, x, &ab, offsetof(struct sockaddr_un, sun_path) + 5); S(connect, x, &un, 2); len = sizeof(un); S(getsockname, x, &un, &len); struct sockaddr_nl nl = {AF_NETLINK, 0, 0, 1}; S(bind, n, &nl, sizeof(nl)); S(bind, n, "\77\1abc", 5);
    int sv[2]; S(socketpair, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sv); S(shutdown, sv[0], SHUT_WR); len = 12; S(getsockopt, sv[0], SOL_SOCKET, SO_PEERCRED, buf, &len); S(accept, -1, &peer, &len); S(sendmsg, -1, NULL, 0);
}
static void on(int sig) { (void)sig; }
static void processes(void) {
    char *args[] = {"x", "y \"z\"\n", NULL}, *env[] = {"A=1", "B=2", NULL}, *many[40] = {0}; for (int i = 0; i < 39; i++) many[i] = "w"; int status; struct rusage ru; siginfo_t si;
    S(execve, "/no/such", args, env); S(execve, "/no/such", many, env + 1); S(execve, "/no/such", NULL, NULL); S(execveat, AT, "nope", args, env, AT_EMPTY_PATH);
    int pid = fork(); if (!pid) S(exit, 3); S(wait4, pid, &status, 0, NULL); S(wait4, -1, &status, WNOHANG, NULL); pid = fork(); if (!pid) { raise(SIGKILL); } S(wait4, pid, &status, __WALL, NULL);
    pid = fork(); if (!pid) S(exit_group, 7); S(waitid, P_PID, pid, &si, WEXITED | WNOWAIT, NULL); S(wait4, pid, NULL, 0, NULL);
    S(getpid); S(getppid); S(gettid); S(getuid); S(setuid, 0); S(setresuid, -1, -1, -1); unsigned r[3]; S(getresuid, r, r + 1, r + 2); S(setreuid, -1, 0); S(setfsuid, 0); S(getgroups, 0, NULL); unsigned g[3] = {1, 2, 3}; S(setgroups, 3, g); S(getgroups, 3, g); S(getpgid, 0); S(setpgid, 0, 0); S(getsid, 0); S(getpgrp);
    struct rlimit rl = {1024, 4096}; S(getrlimit, RLIMIT_CORE, &rl); S(setrlimit, RLIMIT_CORE, &rl); rl.rlim_cur = 64; rl.rlim_max = 1000; S(prlimit64, 0, RLIMIT_NICE, NULL, &rl); S(prlimit64, 0, RLIMIT_CORE, &rl, NULL); S(getpriority, PRIO_PROCESS, 0); S(setpriority, PRIO_PROCESS, 0, 1);
    S(sched_yield); cpu_set_t cs; CPU_ZERO(&cs); CPU_SET(0, &cs); S(sched_setaffinity, 0, 8, &cs); S(sched_getaffinity, 0, 128, &cs); S(sched_getscheduler, 0); struct sched_param sp = {0}; S(sched_setscheduler, 0, SCHED_BATCH, &sp); S(sched_getparam, 0, &sp); S(sched_get_priority_max, SCHED_FIFO);
    S(prctl, PR_SET_NAME, "name\33"); S(prctl, PR_GET_DUMPABLE); S(prctl, PR_SET_PDEATHSIG, SIGTERM); S(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); S(prctl, PR_CAPBSET_READ, 0); S(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); S(prctl, PR_SET_DUMPABLE, 1);
    int w = 1; struct timespec t = {0, 1000}; S(futex, &w, FUTEX_WAIT_PRIVATE, 0, NULL); S(futex, &w, FUTEX_WAKE, 1); S(futex, &w, FUTEX_WAIT, 1, &t); S(futex, &w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 1, &t, NULL, ~0U); S(futex, &w, FUTEX_REQUEUE, 1, 2, &w, 0); S(futex, &w, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &w, 3); S(futex, &w, FUTEX_LOCK_PI, 0, &t); S(futex, &w, FUTEX_WAKE_BITSET, 1, NULL, NULL, 5); S(futex, &w, FUTEX_UNLOCK_PI); S(futex, &w, FUTEX_WAKE_OP, 1, 1, &w, 0);
    S(unshare, 0); S(setns, -1, CLONE_NEWNET); int pf = S(pidfd_open, 1, 0); S(pidfd_send_signal, pf, 0, NULL, 0); S(getrandom, buf, 0, GRND_NONBLOCK); S(seccomp, 2, 0, NULL); S(membarrier, 0, 0, 0); S(uname, buf); S(sethostname, "x", -1); S(kcmp, 1, 1, 0, 0, 0); S(personality, 0xffffffff); S(clone, 0, 0, 0, 0, 0) == 0 ? S(exit, 0) : 0; S(wait4, -1, NULL, __WALL, NULL);
    S(clone, CLONE_FS | CLONE_FILES | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, &w, 0) == 0 ? S(exit, 0) : 0; S(wait4, -1, &status, 0, NULL); unsigned long ca[11] = {CLONE_VFORK | CLONE_VM, 0, 0, 0, SIGCHLD}; ca[0] = 0x80000000000; S(clone3, ca, 64); S(clone3, NULL, 1);
}
static void signals(void) {
    struct { void *h; unsigned long flags; void *r; unsigned long mask; } sa = {on, SA_RESTART, NULL, 1 << (SIGUSR2 - 1)}, old; unsigned long set = 1UL << (SIGUSR1 - 1) | 1UL << 33, was; struct timespec t = {0, 1}; siginfo_t si; stack_t ss = {buf, 0, 8192};
    S(rt_sigaction, SIGUSR2, NULL, &old, 8); sa.h = SIG_IGN; sa.flags = 0; sa.mask = ~0UL; S(rt_sigaction, SIGUSR2, &sa, &old, 8); sa.h = SIG_DFL; sa.flags = SA_NODEFER | SA_RESETHAND | SA_SIGINFO; sa.mask = 0; S(rt_sigaction, SIGPIPE, &sa, NULL, 8); S(rt_sigaction, 99, &sa, NULL, 8); S(rt_sigaction, 35, &sa, &old, 8);
    S(rt_sigprocmask, SIG_BLOCK, &set, &was, 8); S(rt_sigprocmask, SIG_SETMASK, NULL, &was, 8); S(kill, getpid(), SIGUSR1); S(rt_sigpending, &was, 8); S(rt_sigtimedwait, &set, &si, &t, 8); S(rt_sigtimedwait, &set, NULL, &t, 8); S(rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8); set = ~0UL; S(rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8); set = ~(1UL << 8 | 1UL << 31 | 1UL << 32); S(rt_sigprocmask, SIG_UNBLOCK, &set, NULL, 8); S(sigaltstack, &ss, NULL); S(sigaltstack, NULL, &ss); S(tgkill, 1, 1, 0); S(tkill, 99999, SIGTERM); S(kill, 99999, 0);
}
static void times_(void) {
    struct timespec t = {0, 1000}, left; struct itimerval iv = {{0, 0}, {100, 1}}, old; S(nanosleep, &t, &left); S(nanosleep, &t, NULL); S(clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL); S(clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &t, &left); S(clock_getres, CLOCK_REALTIME, &t); S(clock_gettime, 99, &t); S(clock_settime, CLOCK_MONOTONIC, &t); S(setitimer, ITIMER_VIRTUAL, &iv, NULL); iv.it_value.tv_sec = iv.it_value.tv_usec = 0; S(setitimer, ITIMER_VIRTUAL, &iv, NULL); S(getitimer, ITIMER_PROF, &old); S(alarm, 0); struct { unsigned long a; } none; int id; S(timer_create, CLOCK_MONOTONIC, NULL, &id); struct itimerspec it = {{1, 0}, {0, 0}}; S(timer_settime, 0, 0, &it, NULL); S(timer_gettime, 0, &it); S(timer_getoverrun, 0); S(timer_delete, 0); (void)none; t.tv_nsec = 2000000000; S(nanosleep, &t, NULL); S(syslog, 99, NULL, 0);
}
int main(void) { files(); descriptors(); memory(); sockets(); processes(); signals(); times_(); S(exit_group, 5); }
