/*
 * Moves known bytes through sockets of its own, in a network of its own, and keeps account: at the end one
 * line for each socket, "socket INODE IN OUT", as the calls returned it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 512
static struct account {
	unsigned long inode;
	long long in, out;
} accounts[MOST];
static int known;
static char memory[1 << 20];

static void fail(int line)
{
	fprintf(stderr, "net.c:%d: %s\n", line, strerror(errno));
	_exit(99);
}
#define must(x)                                                                                    \
	({                                                                                         \
		long value = (long)(x);                                                            \
		if (value < 0)                                                                     \
			fail(__LINE__);                                                            \
		value;                                                                             \
	})
#define fails(x, error)                                                                            \
	do {                                                                                       \
		if ((long)(x) != -1 || errno != (error))                                           \
			fail(__LINE__);                                                            \
	} while (0)

static struct account *of(int fd)
{
	struct stat stat;

	must(fstat(fd, &stat));
	for (int i = 0; i < known; i++)
		if (accounts[i].inode == stat.st_ino)
			return &accounts[i];
	if (known == MOST)
		fail(__LINE__);
	accounts[known].inode = stat.st_ino;
	return &accounts[known++];
}

static long in(int fd, long n)
{
	of(fd)->in += must(n);
	return n;
}

static long out(int fd, long n)
{
	of(fd)->out += must(n);
	return n;
}

static void report(void)
{
	for (int i = 0; i < known; i++)
		printf("socket %lu %lld %lld\n", accounts[i].inode, accounts[i].in, accounts[i].out);
	fflush(stdout);
}

static void own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (geteuid() != 0)
		return;
	must(unshare(CLONE_NEWNET));
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(ioctl(fd, SIOCSIFFLAGS, &lo));
	syscall(SYS_dup2, must(open("/dev/null", O_RDWR)), fd);
}

union address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
	struct sockaddr_un un;
};

static socklen_t loopback(union address *to, int family, int port)
{
	memset(to, 0, sizeof(*to));
	to->any.sa_family = family;
	if (family == AF_INET) {
		to->four.sin_port = htons(port);
		to->four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(to->four);
	}
	to->six.sin6_port = htons(port);
	to->six.sin6_addr = in6addr_loopback;
	return sizeof(to->six);
}

static int listening(int family, int port, int backlog)
{
	union address at;
	socklen_t bytes = loopback(&at, family, port);
	int fd = must(socket(family, SOCK_STREAM, 0)), one = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	must(bind(fd, &at.any, bytes));
	must(listen(fd, backlog));
	return fd;
}

static long long now(void)
{
	struct timespec time;

	must(clock_gettime(CLOCK_MONOTONIC, &time));
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* How long the last connect of a stream_pair took, measured around the call. */
static long long connecting;

static void stream_pair(int family, int port, int pair[2])
{
	union address at;
	socklen_t bytes = loopback(&at, family, port);
	int listener = listening(family, port, 4);
	long long before;

	pair[0] = must(socket(family, SOCK_STREAM, 0));
	before = now();
	must(connect(pair[0], &at.any, bytes));
	connecting = now() - before;
	pair[1] = must(accept4(listener, 0, 0, 0));
	of(pair[0]);
	of(pair[1]);
	of(listener);
	must(close(listener));
}

/* Takes what is there, by every call that can. */
static void drain(int fd, long n)
{
	struct iovec parts[2] = { { memory, 1000 }, { memory + 1000, 77 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	int pipes[2], nowhere = must(open("/dev/null", O_WRONLY));

	must(pipe(pipes));
	for (int turn = 0; n > 0; turn++) {
		long most = n < 5000 ? n : 5000, got = 0;

		switch (turn % 6) {
		case 0: got = in(fd, read(fd, memory, most)); break;
		case 1: got = in(fd, recv(fd, memory, most, 0)); break;
		case 2: got = in(fd, readv(fd, parts, 2)); break;
		case 3: got = in(fd, recvmsg(fd, &message, 0)); break;
		case 4:
			must(recv(fd, memory, most, MSG_PEEK)); /* moves nothing */
			got = in(fd, recvfrom(fd, memory, most, 0, 0, 0));
			break;
		case 5:
			got = in(fd, splice(fd, 0, pipes[1], 0, most, 0));
			must(splice(pipes[0], 0, nowhere, 0, got, 0));
			break;
		}
		n -= got;
	}
	close(pipes[0]);
	close(pipes[1]);
	close(nowhere);
}

static long pour(int fd, const char *file)
{
	struct iovec parts[2] = { { memory, 3000 }, { memory, 21 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	int from = must(open(file, O_RDONLY)), pipes[2];
	long sent = 0;

	must(pipe(pipes));
	sent += out(fd, write(fd, memory, 1111));
	sent += out(fd, send(fd, memory, 2222, 0));
	sent += out(fd, writev(fd, parts, 2));
	sent += out(fd, sendmsg(fd, &message, 0));
	sent += out(fd, sendfile(fd, from, 0, 4444));
	must(splice(from, 0, pipes[1], 0, 555, 0));
	sent += out(fd, splice(pipes[0], 0, fd, 0, 555, 0));
	close(from);
	close(pipes[0]);
	close(pipes[1]);
	return sent;
}

/* More than fits: what is left out is not counted, and then nothing goes at all. */
static long overfill(int fd)
{
	long sent = 0, n;

	must(fcntl(fd, F_SETFL, O_NONBLOCK));
	while ((n = write(fd, memory, sizeof(memory))) > 0)
		sent += out(fd, n);
	if (errno != EAGAIN)
		fail(__LINE__);
	return sent;
}

static void streams(int family, const char *file)
{
	int pair[2];

	stream_pair(family, 7001, pair);
	printf("connected %lld\n", connecting);
	drain(pair[1], pour(pair[0], file));
	drain(pair[0], pour(pair[1], file));
	drain(pair[1], overfill(pair[0]));
	must(shutdown(pair[0], SHUT_WR));
	in(pair[1], read(pair[1], memory, 1));
	must(close(pair[0]));
	must(close(pair[1]));
}

static void datagrams(int family)
{
	union address at, from;
	socklen_t bytes = loopback(&at, family, 7002), from_bytes = sizeof(from);
	int server = must(socket(family, SOCK_DGRAM, 0)), client = must(socket(family, SOCK_DGRAM, 0));
	int connected = must(socket(family, SOCK_DGRAM, 0));
	struct iovec part = { memory, 300 }, halves[2] = { { memory, 60 }, { memory, 40 } };
	struct mmsghdr many[3] = {
		{ .msg_hdr = { .msg_name = &at, .msg_namelen = bytes, .msg_iov = &part, .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_name = &at, .msg_namelen = bytes, .msg_iov = halves, .msg_iovlen = 2 } },
		{ .msg_hdr = { .msg_name = &at, .msg_namelen = bytes, .msg_iov = &part, .msg_iovlen = 1 } },
	};
	struct msghdr one = { .msg_iov = halves, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof(from) };

	must(bind(server, &at.any, bytes));
	out(client, sendto(client, memory, 1000, 0, &at.any, bytes));
	must(recv(server, memory, 1000, MSG_PEEK));
	in(server, recvfrom(server, memory, 2000, 0, &from.any, &from_bytes));
	/* What is cut off was never the program's, however MSG_TRUNC tells of it. */
	out(client, sendto(client, memory, 1000, 0, &at.any, bytes));
	if (must(recv(server, memory, 100, MSG_TRUNC)) != 1000)
		fail(__LINE__);
	in(server, 100);
	out(client, sendto(client, memory, 1000, 0, &at.any, bytes));
	in(server, recv(server, memory, 10, 0));
	out(client, sendto(client, memory, 1000, 0, &at.any, bytes));
	if (must(recvmsg(server, &one, MSG_TRUNC)) != 1000)
		fail(__LINE__);
	in(server, 100);
	must(connect(connected, &at.any, bytes));
	out(connected, send(connected, memory, 500, 0));
	in(server, read(server, memory, 2000));
	out(connected, send(connected, memory, 0, 0));
	in(server, read(server, memory, 2000));
	must(sendmmsg(client, many, 3, 0));
	out(client, 300 + 100 + 300);
	for (int i = 0; i < 3; i++)
		many[i].msg_hdr.msg_namelen = sizeof(from), many[i].msg_hdr.msg_name = &from;
	must(recvmmsg(server, many, 3, 0, 0));
	in(server, many[0].msg_len + many[1].msg_len + many[2].msg_len);
	must(close(client));
	must(close(connected));
	must(close(server));
}

static socklen_t named(union address *to, const char *name, int bytes)
{
	memset(to, 0, sizeof(*to));
	to->un.sun_family = AF_UNIX;
	memcpy(to->un.sun_path, name, bytes);
	return offsetof(struct sockaddr_un, sun_path) + bytes;
}

static void of_unix(void)
{
	static const char hidden[] = "\0hid\033[2Jden\0x";
	static const char hostile[] = "evil\033[31m\n\xff";
	char longest[108];
	union address at;
	socklen_t bytes = named(&at, hostile, sizeof(hostile));
	int listener = must(socket(AF_UNIX, SOCK_STREAM, 0)), client = must(socket(AF_UNIX, SOCK_STREAM, 0));
	int server, bound, sender, pair[2];

	must(bind(listener, &at.any, bytes));
	must(listen(listener, 1));
	must(connect(client, &at.any, bytes));
	server = must(accept(listener, 0, 0));
	out(client, write(client, memory, 12345));
	drain(server, 12345);
	of(listener);
	unlink(hostile);

	bound = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	sender = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	bytes = named(&at, hidden, sizeof(hidden) - 1);
	must(bind(bound, &at.any, bytes));
	out(sender, sendto(sender, memory, 321, 0, &at.any, bytes));
	in(bound, recv(bound, memory, 1000, 0));

	memset(longest, 'n', sizeof(longest));
	must(close(sender));
	sender = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(close(bound));
	bound = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	bytes = named(&at, longest, sizeof(longest));
	must(bind(bound, &at.any, bytes));
	must(connect(sender, &at.any, bytes));
	out(sender, write(sender, memory, 99));
	in(bound, read(bound, memory, 1000));
	unlink(at.un.sun_path);

	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	out(pair[0], send(pair[0], memory, 700, 0));
	if (must(recv(pair[1], memory, 7, MSG_TRUNC)) != 700)
		fail(__LINE__);
	in(pair[1], 7);
}

static void later(int fd, int error)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t bytes = sizeof(error);
	int told = -1;

	must(poll(&poll_fd, 1, -1));
	must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &bytes));
	if (told != error)
		fail(__LINE__);
}

/* A connection that nobody completes before it is told to: whoever delays it sleeps meanwhile. */
static void connects(void)
{
	union address at, nobody;
	socklen_t bytes = loopback(&at, AF_INET, 7003);
	int listener = listening(AF_INET, 7003, 4), fd;

	/* Blocking, and refused. */
	loopback(&nobody, AF_INET, 7999);
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	fails(connect(fd, &nobody.any, bytes), ECONNREFUSED);
	must(close(fd));
	/* Not blocking: made, and refused, before the call returns or after. */
	fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	fails(connect(fd, &at.any, bytes), EINPROGRESS);
	later(fd, 0);
	out(fd, write(fd, memory, 17));
	must(close(fd));
	fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	fails(connect(fd, &nobody.any, bytes), EINPROGRESS);
	later(fd, ECONNREFUSED);
	must(close(fd));
	/* No route: there is no other network here. */
	nobody.four.sin_addr.s_addr = htonl(0xc0000201);
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	fails(connect(fd, &nobody.any, bytes), ENETUNREACH);
	must(close(fd));
	/* Nobody answers where the queue is full: closed before anything comes of it. */
	must(close(listener));
	listener = listening(AF_INET, 7004, 0);
	loopback(&at, AF_INET, 7004);
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(fd, &at.any, bytes));
	fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	fails(connect(fd, &at.any, bytes), EINPROGRESS);
	fails(connect(fd, &at.any, bytes), EALREADY);
	must(close(fd));
}

static void pass(int through, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = {}, byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	out(through, sendmsg(through, &message, 0));
}

static int receive(int through)
{
	char room[CMSG_SPACE(sizeof(int))] = {}, byte;
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	int fd;

	in(through, recvmsg(through, &message, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

/* One socket, three processes: inherited, passed, duplicated. Each tells what it did itself. */
static void shared(void)
{
	int pair[2], way[2], copy;

	stream_pair(AF_INET, 7005, pair);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, way));
	if (must(fork()) == 0) {
		known = 0;
		out(pair[0], write(pair[0], memory, 100));
		printf("process %d\n", getpid());
		report();
		_exit(0);
	}
	must(wait(0));
	if (must(fork()) == 0) {
		known = 0;
		close(pair[0]);
		close(pair[1]);
		copy = receive(way[1]);
		out(copy, write(copy, memory, 10));
		printf("process %d\n", getpid());
		report();
		_exit(0);
	}
	pass(way[0], pair[0]);
	must(wait(0));
	copy = must(dup(pair[0]));
	must(close(pair[0]));
	out(copy, write(copy, memory, 1));
	drain(pair[1], 111);
	printf("process %d\n", getpid());
}

/* What goes wrong before there is an endpoint. */
static void faults(void)
{
	union address at;
	socklen_t bytes = loopback(&at, AF_INET, 7006);
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0)), file = must(open("/dev/null", O_RDWR)), path;

	of(fd);
	fails(connect(fd, (void *)16, bytes), EFAULT);
	fails(sendto(fd, (void *)16, 100, 0, &at.any, bytes), EFAULT);
	fails(sendto(fd, memory, 100, 0, (void *)16, bytes), EFAULT);
	fails(recvmsg(fd, (void *)16, MSG_DONTWAIT), EFAULT);
	fails(recv(fd, memory, 10, MSG_DONTWAIT), EAGAIN);
	fails(accept(fd, 0, 0), EOPNOTSUPP);
	fails(shutdown(fd, SHUT_RD), ENOTCONN);
	fails(connect(-1, &at.any, bytes), EBADF);
	fails(connect(file, &at.any, bytes), ENOTSOCK);
	/* Of no sockets: not told. */
	fails(read(-1, memory, 1), EBADF);
	must(write(file, memory, 1000));
	/* A socket's name is not a socket. */
	bytes = named(&at, "name", 5);
	must(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), &at.any, bytes));
	path = must(open("name", O_PATH));
	fails(read(path, memory, 1), EBADF);
	unlink("name");
	must(close(path));
	must(close(fd));
}

#ifdef __x86_64__
static long int80(long nr, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* The 32-bit entry: calls of its own numbers, and socketcall. */
static void of_i386(void)
{
	unsigned *low = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned buffer = (unsigned)(unsigned long)low + 4096, args = (unsigned)(unsigned long)low;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	if (int80(4, pair[0], buffer, 40) != 40) { /* write */
		puts("none");
		exit(0);
	}
	out(pair[0], 40);
	low[0] = pair[0], low[1] = buffer, low[2] = 50, low[3] = 0;
	out(pair[0], int80(102, 9, args, 0)); /* send */
	low[0] = pair[1], low[1] = buffer, low[2] = 80, low[3] = MSG_PEEK;
	must(int80(102, 10, args, 0)); /* recv */
	low[3] = 0;
	in(pair[1], int80(102, 10, args, 0));
	low[8] = buffer, low[9] = 10; /* struct iovec */
	low[16] = 0, low[17] = 0, low[18] = args + 32, low[19] = 1, low[20] = 0, low[21] = 0, low[22] = 0;
	in(pair[1], int80(372, pair[1], args + 64, 0)); /* recvmsg */
}
#endif

static void dump(const char *file)
{
	char path[64], line[512];
	FILE *from;

	snprintf(path, sizeof(path), "/proc/self/net/%s", file);
	from = fopen(path, "r");
	while (from && fgets(line, sizeof(line), from))
		printf("%s %s", file, line);
	if (from)
		fclose(from);
}

/* Sockets of each sort, each used once, as the kernel itself shows them while they are there. */
static void held(void)
{
	union address at;
	socklen_t bytes = loopback(&at, AF_INET, 7008);
	int pair[2], fd;

	stream_pair(AF_INET, 7006, pair);
	out(pair[0], write(pair[0], memory, 1));
	in(pair[1], read(pair[1], memory, 1));
	stream_pair(AF_INET6, 7007, pair);
	out(pair[0], write(pair[0], memory, 1));
	in(pair[1], read(pair[1], memory, 1));
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(bind(fd, &at.any, bytes));
	must(connect(fd, &at.any, bytes));
	out(fd, write(fd, memory, 1));
	in(fd, read(fd, memory, 1));
	loopback(&at, AF_INET, 7009);
	fd = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(connect(fd, &at.any, bytes));
	out(fd, write(fd, memory, 1));
	bytes = named(&at, "\0held", 5);
	fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(bind(fd, &at.any, bytes));
	out(fd, sendto(fd, memory, 1, 0, &at.any, bytes));
	in(fd, read(fd, memory, 1));
	dump("tcp");
	dump("tcp6");
	dump("udp");
	dump("unix");
}

#define THREADS 8
static void *talker(void *count)
{
	for (long i = 0; i < (long)count; i++) {
		int pair[2];

		must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
		must(write(pair[0], memory, 100));
		must(read(pair[1], memory + 4096 * (1 + i % 7), 100));
		must(close(pair[0]));
		must(close(pair[1]));
	}
	return 0;
}

/* Many sockets at once: COUNT pairs a thread. */
static void crowd(long count)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		must(-pthread_create(&threads[i], 0, talker, (void *)count));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], 0);
	printf("pairs %ld\n", THREADS * count);
}

/* One socket for all threads, a byte at a time. */
static int shared_pair[2];
static void *bytewise(void *count)
{
	for (long i = 0; i < (long)count; i++) {
		char byte;

		must(write(shared_pair[0], memory, 1));
		must(read(shared_pair[1], &byte, 1));
	}
	return 0;
}

static void contended(long count)
{
	pthread_t threads[THREADS];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, shared_pair));
	for (int i = 0; i < THREADS; i++)
		must(-pthread_create(&threads[i], 0, bytewise, (void *)count));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], 0);
	of(shared_pair[0])->out = of(shared_pair[1])->in = THREADS * count;
}

/* Reads what somebody else writes: its call is in progress when denet comes. */
static void waits(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	if (must(fork()) == 0) {
		char byte;

		must(read(0, &byte, 1));
		must(write(pair[1], memory, 50));
		must(write(pair[1], memory, 5));
		_exit(0);
	}
	printf("ready\n");
	fflush(stdout);
	must(recv(pair[0], memory, 50, MSG_WAITALL));
	in(pair[0], recv(pair[0], memory, 5, MSG_WAITALL));
	must(wait(0));
}

#include "net_edges.h"
#include "net_storm.h"

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	long count = argc > 2 ? atol(argv[2]) : 0;

	own_network();
	if (!strcmp(mode, "tcp"))
		streams(AF_INET, argv[0]);
	else if (!strcmp(mode, "tcp6"))
		streams(AF_INET6, argv[0]);
	else if (!strcmp(mode, "udp"))
		datagrams(AF_INET);
	else if (!strcmp(mode, "udp6"))
		datagrams(AF_INET6);
	else if (!strcmp(mode, "unix"))
		of_unix();
	else if (!strcmp(mode, "connects"))
		connects();
	else if (!strcmp(mode, "shared"))
		shared();
	else if (!strcmp(mode, "faults"))
		faults();
#ifdef __x86_64__
	else if (!strcmp(mode, "i386"))
		of_i386();
#endif
	else if (!strcmp(mode, "held"))
		held();
	else if (!strcmp(mode, "crowd"))
		crowd(count);
	else if (!strcmp(mode, "contended"))
		contended(count);
	else if (!strcmp(mode, "waits"))
		waits();
	else if (!strcmp(mode, "peers"))
		peers();
	else if (!strcmp(mode, "many-parts"))
		many_parts();
	else if (!strcmp(mode, "cut"))
		cut();
	else if (!strcmp(mode, "mapped"))
		mapped();
	else if (!strcmp(mode, "interrupted"))
		interrupted();
	else if (!strcmp(mode, "asked-again"))
		asked_again();
	else if (!strcmp(mode, "replaced"))
		replaced();
	else if (!strcmp(mode, "waiting"))
		waiting(count);
	else if (!strcmp(mode, "storm"))
		storm(count, argv[0]);
	else if (!strcmp(mode, "many"))
		many(count);
	else
		return 97;
	report();
	return 0;
}
