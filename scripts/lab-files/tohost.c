// SPDX-License-Identifier: GPL-2.0
/*
 * tohost KIND: sends what it reads to the host, over the emulator's debug port.
 *
 * Bochs and QEMU hand each byte written to I/O port 0xE9 to the host, at once and
 * without a serial line's baud rate.  A message is "\2KIND LENGTH\n" and LENGTH
 * bytes; what comes between two messages is not ours.  An empty input is sent as a
 * message of no bytes; a longer one in as many messages as reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/io.h>
#include <unistd.h>

#define PORT 0xe9

static void send(const char *kind, const char *data, size_t length)
{
	char head[64];
	int size = snprintf(head, sizeof(head), "\2%.40s %zu\n", kind, length);

	outsb(PORT, head, size);
	outsb(PORT, data, length);
}

int main(int argc, char **argv)
{
	static char data[32768];
	ssize_t got;
	size_t sent = 0;
	int lock;

	if (argc != 2) {
		fprintf(stderr, "Usage: tohost KIND <DATA\n");
		return 64;
	}
	/* Messages of two programs must not mix. */
	lock = open("/run/tohost.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (lock < 0 || iopl(3)) {
		fprintf(stderr, "tohost: %s\n", strerror(errno));
		return 69;
	}
	while ((got = read(0, data, sizeof(data))) > 0 || (got < 0 && errno == EINTR)) {
		if (got < 0)
			continue;
		flock(lock, LOCK_EX);
		send(argv[1], data, got);
		flock(lock, LOCK_UN);
		sent += got;
	}
	if (!sent) {
		flock(lock, LOCK_EX);
		send(argv[1], data, 0);
	}
	return got ? 69 : 0;
}
