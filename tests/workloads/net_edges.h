/* What is seldom done with sockets. Part of net.c, whose account it keeps. */
#ifndef DENET_NET_EDGES_H
#define DENET_NET_EDGES_H

static int bound_to(int family, int port)
{
	union address at;
	socklen_t bytes = loopback(&at, family, port);
	int fd = must(socket(family, SOCK_DGRAM, 0));

	must(bind(fd, &at.any, bytes));
	return fd;
}

/* One socket without a connection, many other ends. */
static void peers(void)
{
	union address at[3], from[3];
	struct iovec part = { memory, 40 };
	struct mmsghdr many[3] = {};
	int sender = must(socket(AF_INET, SOCK_DGRAM, 0)), to[3];
	socklen_t bytes = 0;

	for (int i = 0; i < 3; i++) {
		to[i] = bound_to(AF_INET, 7020 + i);
		bytes = loopback(&at[i], AF_INET, 7020 + i);
		out(sender, sendto(sender, memory, 10 + i, 0, &at[i].any, bytes));
		in(to[i], recv(to[i], memory, 100, 0));
		many[i].msg_hdr = (struct msghdr){ .msg_name = &at[i], .msg_namelen = bytes, .msg_iov = &part, .msg_iovlen = 1 };
	}
	must(sendmmsg(sender, many, 3, 0));
	out(sender, 120);
	for (int i = 0; i < 3; i++) {
		in(to[i], recv(to[i], memory, 100, 0));
		/* Each sends to the first. */
		if (i)
			out(to[i], sendto(to[i], memory, 50, 0, &at[0].any, bytes));
	}
	for (int i = 0; i < 2; i++)
		many[i].msg_hdr = (struct msghdr){ .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &part, .msg_iovlen = 1 };
	must(recvmmsg(to[0], many, 2, 0, 0));
	in(to[0], 80);
	/* Connected to one, and sends to another all the same. */
	must(connect(sender, &at[0].any, bytes));
	out(sender, send(sender, memory, 5, 0));
	out(sender, sendto(sender, memory, 6, 0, &at[1].any, bytes));
	in(to[0], recv(to[0], memory, 100, 0));
	in(to[1], recv(to[1], memory, 100, 0));
}

/* More parts than the eBPF program looks at: how much of the message they take is not known. */
static void many_parts(void)
{
	struct iovec parts[100];
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 100 };
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	for (int i = 0; i < 100; i++)
		parts[i] = (struct iovec){ memory + i, 1 };
	must(send(pair[0], memory, 1000, 0));
	if (must(recvmsg(pair[1], &message, MSG_TRUNC)) != 1000)
		fail(__LINE__);
}

/* Memory too small for what arrives, or for who sent it. */
static void cut(void)
{
	union address at, other;
	struct sockaddr_un from;
	struct iovec parts[2] = { { memory, 30 }, { memory, 0 } };
	struct msghdr message = {};
	struct mmsghdr many[2] = { { .msg_hdr = { .msg_iov = parts, .msg_iovlen = 1 } }, {} };
	socklen_t bytes = loopback(&at, AF_INET, 7023), other_bytes, room;
	int fd = bound_to(AF_INET, 7023), receiver, sender;

	for (int i = 0; i < 6; i++)
		out(fd, sendto(fd, memory, 100, 0, &at.any, bytes));
	/* No parts at all, a part of no length, no memory. */
	if (must(recvmsg(fd, &message, MSG_TRUNC)) != 100)
		fail(__LINE__);
	message = (struct msghdr){ .msg_iov = parts + 1, .msg_iovlen = 1 };
	if (must(recvmsg(fd, &message, MSG_TRUNC)) != 100)
		fail(__LINE__);
	if (must(recv(fd, 0, 0, MSG_TRUNC)) != 100)
		fail(__LINE__);
	if (must(recvmmsg(fd, many, 2, MSG_TRUNC, 0)) != 2)
		fail(__LINE__);
	in(fd, 30);
	/* Of who sent it, four bytes: family and port. */
	memset(&other, 7, sizeof(other));
	room = 4;
	in(fd, recvfrom(fd, memory, 100, 0, &other.any, &room));
	if (room != bytes)
		fail(__LINE__);

	other_bytes = named(&other, "\0receives", 9);
	receiver = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(bind(receiver, &other.any, other_bytes));
	sender = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	bytes = named(&at, "\0a-name-that-is-cut", 19);
	must(bind(sender, &at.any, bytes));
	for (int i = 0; i < 2; i++)
		out(sender, sendto(sender, memory, 10, 0, &other.any, other_bytes));
	memset(&from, 'x', sizeof(from));
	room = 2 + 7;
	in(receiver, recvfrom(receiver, memory, 100, 0, (void *)&from, &room));
	message = (struct msghdr){ .msg_iov = parts, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = 2 + 7 };
	in(receiver, recvmsg(receiver, &message, 0));
}

/* IPv6 sockets that speak IPv4. */
static void mapped(void)
{
	union address at, four;
	socklen_t bytes = sizeof(at.six), four_bytes = loopback(&four, AF_INET, 7024);
	int zero = 0, listener = must(socket(AF_INET6, SOCK_STREAM, 0)), client, server, fd;

	memset(&at, 0, sizeof(at));
	at.six.sin6_family = AF_INET6;
	at.six.sin6_port = htons(7024);
	must(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)));
	must(bind(listener, &at.any, bytes));
	must(listen(listener, 1));
	client = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(client, &four.any, four_bytes));
	server = must(accept(listener, 0, 0));
	out(client, write(client, memory, 21));
	in(server, read(server, memory, 100));
	out(server, write(server, memory, 22));
	in(client, read(client, memory, 100));
	/* The other way round, and an IPv6 socket that is given an IPv4 address. */
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &at.six.sin6_addr);
	client = must(socket(AF_INET6, SOCK_STREAM, 0));
	must(connect(client, &at.any, bytes));
	server = must(accept(listener, 0, 0));
	out(client, write(client, memory, 23));
	in(server, read(server, memory, 100));
	fd = must(socket(AF_INET6, SOCK_DGRAM, 0));
	server = bound_to(AF_INET, 7024);
	out(fd, sendto(fd, memory, 24, 0, &four.any, four_bytes));
	in(server, recv(server, memory, 100, 0));
}

/* Sleeps within a call. Not by read(2), which is a call that sockets have too. */
static int is_asleep(const char *stat)
{
	char text[512];
	const char *name_ends;
	int fd = must(open(stat, O_RDONLY));
	int bytes = must(pread(fd, text, sizeof(text) - 1, 0));

	text[bytes] = 0;
	must(close(fd));
	name_ends = strrchr(text, ')');
	return name_ends && name_ends[2] == 'S';
}

/* Until a process waits within a call: it makes one only. */
static void until_asleep(int process)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", process);
	while (!is_asleep(path))
		sched_yield();
}

/* How often the handler ran, for a child to see. */
static volatile int *handled;
static void handles(int signal)
{
	++*handled;
}

static void handle(int flags)
{
	struct sigaction act = { .sa_handler = handles, .sa_flags = flags };

	handled = mmap(0, sizeof(*handled), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(handled == MAP_FAILED ? -1 : 0);
	must(sigaction(SIGALRM, &act, 0));
}

/* In a child: its parent is interrupted once it waits, and handles it. */
static void interrupt_parent(void)
{
	until_asleep(getppid());
	must(kill(getppid(), SIGALRM));
	while (!*handled)
		sched_yield();
}

/* A child that does no more than that. */
static int interrupter(void)
{
	int child = must(fork());

	if (child == 0) {
		interrupt_parent();
		_exit(0);
	}
	return child;
}

/* Signals come while calls wait; processes end within them. */
static void interrupted(void)
{
	int pair[2], child;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	handle(0);
	child = interrupter();
	fails(recv(pair[0], memory, 10, 0), EINTR);
	must(waitpid(child, 0, 0));
	/* The kernel restarts the call; then the child writes. */
	handle(SA_RESTART);
	child = must(fork());
	if (child == 0) {
		known = 0;
		interrupt_parent();
		until_asleep(getppid());
		out(pair[1], write(pair[1], memory, 12));
		printf("process %d\n", getpid());
		report();
		_exit(0);
	}
	in(pair[0], recv(pair[0], memory, 100, 0));
	must(waitpid(child, 0, 0));
	/* Killed while it waits, again and again. */
	for (int i = 0; i < 20; i++) {
		child = must(fork());
		if (child == 0) {
			recv(pair[0], memory, 10, 0);
			_exit(98);
		}
		until_asleep(child);
		must(kill(child, SIGKILL));
		must(waitpid(child, 0, 0));
	}
	printf("process %d\n", getpid());
}

/* Who asks whether a connection was made does not make another; who has no time leaves it half made. */
static void asked_again(void)
{
	union address at;
	struct timeval soon = { 0, 100000 };
	socklen_t bytes = loopback(&at, AF_INET, 7025);
	int listener = listening(AF_INET, 7025, 4), fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), child;

	fails(connect(fd, &at.any, bytes), EINPROGRESS);
	later(fd, 0);
	must(connect(fd, &at.any, bytes));
	fails(connect(fd, &at.any, bytes), EISCONN);
	out(fd, write(fd, memory, 3));
	must(close(fd));
	must(close(listener));
	listener = listening(AF_INET, 7026, 0);
	loopback(&at, AF_INET, 7026);
	must(connect(must(socket(AF_INET, SOCK_STREAM, 0)), &at.any, bytes));
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	fails(connect(fd, &at.any, bytes), EINPROGRESS);
	must(close(fd));
	/* Interrupted, and then given up. */
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	handle(0);
	child = interrupter();
	fails(connect(fd, &at.any, bytes), EINTR);
	must(waitpid(child, 0, 0));
	must(close(fd));
}

/* A descriptor that becomes another socket, and all of them closed at once. */
static void replaced(void)
{
	int one[2], two[2], pipes[2], copy;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, one));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, two));
	of(one[0]);
	out(one[0], write(one[0], memory, 8));
	copy = must(dup(one[0]));
	must(dup2(two[0], one[0]));
	out(one[0], write(one[0], memory, 16));
	out(copy, write(copy, memory, 32));
	in(one[1], read(one[1], memory, 100));
	in(two[1], read(two[1], memory, 100));
	/* Pages of the program's memory, and what tee left in the pipe. */
	struct iovec part = { memory, 100 };
	int others[2];

	must(pipe(pipes));
	must(pipe(others));
	must(vmsplice(pipes[1], &part, 1, 0));
	must(tee(pipes[0], others[1], 100, 0));
	out(copy, splice(pipes[0], 0, copy, 0, 100, 0));
	out(copy, splice(others[0], 0, copy, 0, 100, 0));
	in(one[1], splice(one[1], 0, pipes[1], 0, 150, 0));
	in(one[1], recv(one[1], memory, 1000, 0));
	/* Neither end is a pipe. */
	fails(splice(copy, 0, one[1], 0, 10, 0), EINVAL);
	report();
	fflush(stdout);
	known = 0;
	if (syscall(436, 3, ~0U, 0) < 0) /* close_range, from 5.9 on */
		for (int fd = 3; fd < 100; fd++)
			close(fd);
}

/* COUNT threads wait in as many calls for one byte each. */
static int waited_for;
static int *waiters;
static void *one_byte(void *from)
{
	char byte;

	waiters[__sync_fetch_and_add(&waited_for, 1)] = syscall(SYS_gettid);
	must(recv(*(int *)from, &byte, 1, 0));
	return 0;
}

static void waiting(long count)
{
	pthread_t *threads = calloc(count, sizeof(*threads));
	pthread_attr_t small;
	int pair[2];

	waiters = calloc(count, sizeof(*waiters));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(-pthread_attr_init(&small));
	must(-pthread_attr_setstacksize(&small, 65536));
	for (long i = 0; i < count; i++)
		must(-pthread_create(&threads[i], &small, one_byte, &pair[0]));
	for (long i = 0; i < count; i++) {
		char path[48];

		while (!__atomic_load_n(&waiters[i], __ATOMIC_SEQ_CST))
			sched_yield();
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", waiters[i]);
		while (!is_asleep(path))
			sched_yield();
	}
	out(pair[1], write(pair[1], memory, count));
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	of(pair[0])->in = count;
}

/* Each of many sockets has another end; each of as many connections is refused. */
static void many(long count)
{
	union address at;
	socklen_t bytes = loopback(&at, AF_INET, 7027);
	int fd;

	for (long i = 0; i < count; i++) {
		fd = must(socket(AF_INET, SOCK_STREAM, 0));
		fails(connect(fd, &at.any, bytes), ECONNREFUSED);
		syscall(SYS_dup2, 2, fd);
		must(close(fd));
	}
}

#endif
