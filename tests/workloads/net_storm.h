/* Calls at random on sockets of each sort, by several threads that share none. Part of net.c. */
#ifndef DENET_NET_STORM_H
#define DENET_NET_STORM_H

#define STORM_THREADS 4
#define STORM_SOCKETS 12
#define STORM_PARTS 4

/* Each thread its own: nobody else reads or writes there, so what a call returns is what it moved. */
struct storm {
	unsigned long state;
	int fds[STORM_SOCKETS], kinds[STORM_SOCKETS];
	long long in[STORM_SOCKETS], out[STORM_SOCKETS];
	int pipes[2], file, port;
	long turns;
	char *memory;
	struct iovec parts[4][STORM_PARTS];
	struct mmsghdr many[4];
};

static unsigned long random_of(struct storm *it, unsigned long below)
{
	it->state ^= it->state << 13;
	it->state ^= it->state >> 7;
	it->state ^= it->state << 17;
	return (it->state >> 11) % below;
}

/* Some memory, seldom none. */
static void *some(struct storm *it)
{
	return random_of(it, 20) ? it->memory + random_of(it, 4096) : (void *)16;
}

static struct msghdr *message_of(struct storm *it, int i, int most)
{
	struct msghdr *to = &it->many[i].msg_hdr;

	memset(&it->many[i], 0, sizeof(it->many[i]));
	to->msg_iov = it->parts[i];
	to->msg_iovlen = random_of(it, most + 1);
	for (unsigned j = 0; j < to->msg_iovlen; j++)
		it->parts[i][j] = (struct iovec){ some(it), random_of(it, 1500) };
	return to;
}

static long long room_of(const struct msghdr *of, long long bytes)
{
	long long room = 0;

	for (unsigned i = 0; i < of->msg_iovlen; i++)
		room += of->msg_iov[i].iov_len;
	return bytes < room ? bytes : room;
}

static int any_flags(struct storm *it)
{
	static const int flags[] = { 0, 0, 0, MSG_TRUNC, MSG_PEEK, MSG_PEEK | MSG_TRUNC, MSG_WAITALL };

	return MSG_DONTWAIT | flags[random_of(it, sizeof(flags) / sizeof(*flags))];
}

static long long received(const struct storm *it, int at, int flags, const struct msghdr *message, long n)
{
	if (n <= 0 || flags & MSG_PEEK)
		return 0;
	/* Of a stream MSG_TRUNC throws away what it returns. */
	return flags & MSG_TRUNC && it->kinds[at] != SOCK_STREAM ? room_of(message, n) : n;
}

static void storm_sends(struct storm *it, int at)
{
	int fd = it->fds[at], n, count;
	long sent = 0;
	off_t from = 0;

	switch (random_of(it, 7)) {
	case 0: sent = write(fd, some(it), random_of(it, 3000)); break;
	case 1: sent = send(fd, some(it), random_of(it, 3000), MSG_DONTWAIT); break;
	case 2: sent = writev(fd, it->parts[0], message_of(it, 0, STORM_PARTS)->msg_iovlen); break;
	case 3: sent = sendmsg(fd, message_of(it, 0, STORM_PARTS), MSG_DONTWAIT); break;
	case 4: sent = sendfile(fd, it->file, &from, random_of(it, 3000)); break;
	case 5:
		n = write(it->pipes[1], it->memory, 1 + random_of(it, 2000));
		sent = splice(it->pipes[0], 0, fd, 0, n, SPLICE_F_NONBLOCK);
		/* What did not go. */
		while (read(it->pipes[0], it->memory, 4096) > 0)
			;
		break;
	case 6:
		count = random_of(it, 4);
		for (int i = 0; i < count; i++)
			message_of(it, i, STORM_PARTS);
		n = sendmmsg(fd, it->many, count, MSG_DONTWAIT);
		for (int i = 0; i < n; i++)
			sent += it->many[i].msg_len;
		break;
	}
	if (sent > 0)
		it->out[at] += sent;
}

static void storm_receives(struct storm *it, int at)
{
	int fd = it->fds[at], flags = any_flags(it), n;
	struct msghdr *message;
	struct iovec part;
	long long got = 0;
	long count;

	switch (random_of(it, 6)) {
	case 0: got = read(fd, some(it), random_of(it, 3000)); break;
	case 1:
		part = (struct iovec){ some(it), random_of(it, 1500) };
		count = recv(fd, part.iov_base, part.iov_len, flags);
		got = received(it, at, flags, &(struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 }, count);
		break;
	case 2: got = readv(fd, it->parts[0], message_of(it, 0, STORM_PARTS)->msg_iovlen); break;
	case 3:
		message = message_of(it, 0, STORM_PARTS);
		got = received(it, at, flags, message, recvmsg(fd, message, flags));
		break;
	case 4:
		got = splice(fd, 0, it->pipes[1], 0, 1 + random_of(it, 2000), SPLICE_F_NONBLOCK);
		while (read(it->pipes[0], it->memory, 4096) > 0)
			;
		break;
	case 5:
		count = random_of(it, 4);
		for (int i = 0; i < count; i++)
			message_of(it, i, 1);
		n = recvmmsg(fd, it->many, count, flags, 0);
		for (int i = 0; i < n; i++)
			got += received(it, at, flags, &it->many[i].msg_hdr, it->many[i].msg_len);
		break;
	}
	if (got > 0)
		it->in[at] += got;
}

static void storm_replaces(struct storm *it, int at)
{
	int copy = must(dup(it->fds[at]));

	if (random_of(it, 2)) {
		must(close(it->fds[at]));
		it->fds[at] = copy;
	} else {
		must(close(copy));
	}
}

static void *storm_of(void *of)
{
	struct storm *it = of;

	for (long turn = 0; turn < it->turns; turn++) {
		int at = random_of(it, STORM_SOCKETS);

		switch (random_of(it, 20)) {
		case 0: storm_replaces(it, at); break;
		case 1 ... 9: storm_sends(it, at); break;
		default: storm_receives(it, at);
		}
	}
	return 0;
}

static void storm_has(struct storm *it, int at, const int pair[2], int kind)
{
	for (int i = 0; i < 2; i++) {
		it->fds[at + i] = pair[i];
		it->kinds[at + i] = kind;
		must(fcntl(pair[i], F_SETFL, O_NONBLOCK));
	}
}

static void datagram_pair(int family, int port, int pair[2])
{
	union address at;

	for (int i = 0; i < 2; i++) {
		socklen_t bytes = loopback(&at, family, port + i);

		pair[i] = must(socket(family, SOCK_DGRAM, 0));
		must(bind(pair[i], &at.any, bytes));
	}
	for (int i = 0; i < 2; i++) {
		socklen_t bytes = loopback(&at, family, port + 1 - i);

		must(connect(pair[i], &at.any, bytes));
	}
}

static void storm_begins(struct storm *it, int number, long seed, const char *file)
{
	int pair[2], port = 7100 + 10 * number;

	it->state = 88172645463325252UL ^ (seed * 2654435761UL) ^ ((unsigned long)number << 40);
	it->turns = 4000;
	it->memory = calloc(1, 65536);
	it->file = must(open(file, O_RDONLY));
	must(pipe2(it->pipes, O_NONBLOCK));
	stream_pair(AF_INET, port, pair);
	storm_has(it, 0, pair, SOCK_STREAM);
	stream_pair(AF_INET6, port + 1, pair);
	storm_has(it, 2, pair, SOCK_STREAM);
	datagram_pair(AF_INET, port + 2, pair);
	storm_has(it, 4, pair, SOCK_DGRAM);
	datagram_pair(AF_INET6, port + 4, pair);
	storm_has(it, 6, pair, SOCK_DGRAM);
	must(socketpair(AF_UNIX, number % 2 ? SOCK_STREAM : SOCK_DGRAM, 0, pair));
	storm_has(it, 8, pair, number % 2 ? SOCK_STREAM : SOCK_DGRAM);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	storm_has(it, 10, pair, SOCK_SEQPACKET);
}

static void storm(long seed, const char *file)
{
	static struct storm all[STORM_THREADS];
	pthread_t threads[STORM_THREADS];

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < STORM_THREADS; i++)
		storm_begins(&all[i], i, seed, file);
	for (int i = 0; i < STORM_THREADS; i++)
		must(-pthread_create(&threads[i], 0, storm_of, &all[i]));
	for (int i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], 0);
	for (int i = 0; i < STORM_THREADS; i++)
		for (int at = 0; at < STORM_SOCKETS; at++) {
			of(all[i].fds[at])->in = all[i].in[at];
			of(all[i].fds[at])->out = all[i].out[at];
		}
}

#endif
