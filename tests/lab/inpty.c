// SPDX-License-Identifier: GPL-2.0
/*
 * inpty FILE COMMAND...: runs a command in a terminal of 80 by 24, keeps all that
 * it writes there in FILE, and ends as it does. A console would not do: each 16
 * bytes to hvc0 cost a round trip to the VMM.
 */
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	char bytes[4096];
	ssize_t count;
	int terminal, file, status;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "Usage: inpty FILE COMMAND...\n");
		return 64;
	}
	file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (file < 0) {
		perror(argv[1]);
		return 65;
	}
	child = forkpty(&terminal, NULL, NULL, &size);
	if (child < 0) {
		perror("forkpty");
		return 66;
	}
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	/* Once the command has ended, reading fails with EIO. */
	while ((count = read(terminal, bytes, sizeof(bytes))) > 0)
		if (write(file, bytes, count) != count)
			return 67;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
