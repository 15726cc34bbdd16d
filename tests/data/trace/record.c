/* Records the calls of a program as denet's kernel side would: registers, result, and of memory
 * what the table's captures ask for. usage: record SPEC OUT FORKS PROGRAM [ARG...]
 * FORKS: so many children come and go first, so that the program gets the process id that it had
 * under strace. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

struct capture { int arg; char when; char what[12]; long a, b; };
static struct capture captures[512][4];
static int counts[512];
static pid_t child;
static FILE *out;

static long fetch(unsigned long at, void *to, size_t len) {
    struct iovec local = {to, len}, remote = {(void *)at, len};
    return process_vm_readv(child, &local, 1, &remote, 1, 0);
}
static long string(unsigned long at, char *to, size_t room, int *whole) {
    size_t n = 0;
    for (*whole = 0; n < room; n++) {
        if (fetch(at + n, to + n, 1) != 1) return -1;
        if (!to[n]) { *whole = 1; break; }
    }
    return n;
}
static void hex(const unsigned char *data, size_t len) {
    for (size_t i = 0; i < len; i++) fprintf(out, "%02x", data[i]);
}
static void piece(const struct capture *c, unsigned long long *args, long result) {
    static unsigned char buf[1 << 16];
    unsigned long at = args[c->arg];
    size_t len = 0, room = 256;
    int whole = 1;
    if (!at) return;
    fprintf(out, "piece %d %c ", c->arg, c->when);
    if (!strcmp(c->what, "string")) {
        long n = string(at, (char *)buf, 4096, &whole);
        if (n < 0) { fprintf(out, "fault\n"); return; }
        fprintf(out, "bytes %d ", whole); hex(buf, n); fprintf(out, "\n");
        return;
    }
    if (!strcmp(c->what, "strings")) {
        unsigned long p; int i, ok;
        for (i = 0; fetch(at + 8 * i, &p, 8) == 8 && p && i < 64; i++) {
            long n = string(p, (char *)buf, 4096, &ok);
            if (n < 0) n = 0;
            if (!i) fprintf(out, "strings 0 ");
            if (i) fprintf(out, ",");
            hex(buf, n); fprintf(out, ".");
        }
        if (!i) fprintf(out, "strings 0 ");
        fprintf(out, "\n");
        return;
    }
    if (!strcmp(c->what, "fixed")) { len = c->a; room = sizeof(buf); }
    if (!strcmp(c->what, "arg")) len = args[c->a] * c->b;
    if (!strcmp(c->what, "result")) len = result * c->b;
    if (!strcmp(c->what, "intat")) { int n = 0; if (fetch(args[c->a], &n, 4) != 4) { fprintf(out, "fault\n"); return; } len = n; }
    if (len > room) { len = room; whole = 0; }
    if (fetch(at, buf, len) != (long)len) { fprintf(out, "fault\n"); return; }
    fprintf(out, "bytes %d ", whole); hex(buf, len); fprintf(out, "\n");
}
static void pieces(int nr, char when, unsigned long long *args, long result) {
    if (nr < 0 || nr >= 512) return;
    for (int i = 0; i < counts[nr]; i++)
        if (captures[nr][i].when == when) piece(&captures[nr][i], args, result);
}
int main(int argc, char **argv) {
    FILE *spec = fopen(argv[1], "r");
    int nr, status; struct capture c;
    while (fscanf(spec, "%d %d %c %11s %ld %ld", &nr, &c.arg, &c.when, c.what, &c.a, &c.b) == 6)
        if (counts[nr] < 4) captures[nr][counts[nr]++] = c;
    out = fopen(argv[2], "w");
    for (int i = atoi(argv[3]); i > 0; i--) { if (!fork()) _exit(0); wait(NULL); }
    if (!(child = fork())) {
        fclose(spec); close(fileno(out));
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        _exit(127);
    }
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    int sig = 0, started = 0;
    struct __ptrace_syscall_info info;
    unsigned long long args[6] = {0};
    int now = 0;
    for (;;) {
        ptrace(PTRACE_SYSCALL, child, 0, sig);
        sig = 0;
        if (waitpid(child, &status, 0) < 0 || WIFEXITED(status) || WIFSIGNALED(status)) break;
        if (!WIFSTOPPED(status)) continue;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) { sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status); continue; }
        ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
            now = info.entry.nr;
            memcpy(args, info.entry.args, sizeof(args));
            if (now == 59) started = 1;
            if (!started) continue;
            fprintf(out, "call %d %llx %llx %llx %llx %llx %llx\n", now, args[0], args[1], args[2], args[3], args[4], args[5]);
            pieces(now, 'e', args, 0);
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && started) {
            long r = info.exit.rval;
            if (now == 59) { for (int i = 0; i < 0; i++) {} }
            if (r >= 0 || r < -4095) pieces(now, 'x', args, r);
            fprintf(out, "result %ld\n", r);
        }
    }
    return 0;
}
