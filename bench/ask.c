/* SPDX-License-Identifier: MIT */
/*
 * ask.c - ask HOME METHOD: one question to the owner of a home, its answer on stdout.
 *
 * The bench wants what the command line does not print, such as the longest commit. So this speaks to control.sock by
 * itself, a line of JSON-RPC each way, without the library that is being measured. The socket is named relative to the
 * home, since a path may not exceed 107 bytes. An owner that does not answer within ten seconds is an error.
 *
 * Exit code: 0 answered, 1 nobody answers, 64 usage.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int dial(const char *home)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "control.sock"};
    struct timeval patience = {.tv_sec = 10};
    int fd;

    if (chdir(home) < 0)
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Up to the first newline: there is one answer. */
static int answer_print(FILE *stream)
{
    int c;

    while ((c = getc(stream)) != EOF && c != '\n')
        putchar(c);
    putchar('\n');
    return c == '\n' && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    FILE *stream;
    int fd, ok;

    if (argc != 3) {
        fprintf(stderr, "usage: ask HOME METHOD\n");
        return 64;
    }
    fd = dial(argv[1]);
    stream = fd < 0 ? NULL : fdopen(fd, "r");
    if (!stream) {
        perror(argv[1]);
        return 1;
    }
    ok = dprintf(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n", argv[2]) > 0 &&
         answer_print(stream);
    fclose(stream);
    return ok ? 0 : 1;
}
