// SPDX-License-Identifier: GPL-2.0-or-later
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/** Where the kernel cannot close a range, what is above stays open. */
#define CLOSED_ONE_BY_ONE 65536

static void close_the_rest(void) {
	if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
	for (int file = 3; file < CLOSED_ONE_BY_ONE; ++file) close(file);
}

/** Between vfork and exec: in the memory of OBS, so only plain calls to the system. Gives errno. */
static int become(char* const arguments[], const char* folder, int nothing, int output, pid_t parent) {
	setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return errno;
	if (getppid() != parent) return ESRCH; // it died before the line above
	if (dup2(nothing, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
		dup2(output, STDERR_FILENO) < 0 || chdir(folder) != 0)
		return errno;
	close_the_rest();
	const struct sigaction usual = {.sa_handler = SIG_DFL};
	for (int number = 1; number < NSIG; ++number) sigaction(number, &usual, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(arguments[0], arguments);
	return errno;
}

/**
 * vfork and not fork: a copy of OBS's pages would stall its other threads at their next write to each.
 * Signals are held back meanwhile, for a handler of OBS would run in the child.
 */
static pid_t start(char* const arguments[], const char* folder, int nothing, int output, int* error) {
	volatile int failure = 0;
	const pid_t parent = getpid();
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const pid_t pid = vfork();
	if (pid == 0) {
		failure = become(arguments, folder, nothing, output, parent);
		_exit(127);
	}
	const int vfork_failure = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*error = pid < 0 ? vfork_failure : failure;
	if (pid > 0 && failure != 0) waitpid(pid, NULL, 0);
	return pid;
}

int child_start(struct child* child, char* const arguments[], const char* folder) {
	int pipe_ends[2];
	const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing < 0) return errno;
	if (pipe2(pipe_ends, O_CLOEXEC) != 0) {
		const int error = errno;
		close(nothing);
		return error;
	}
	int error = 0;
	child->pid = start(arguments, folder, nothing, pipe_ends[1], &error);
	close(nothing);
	close(pipe_ends[1]);
	if (error != 0) {
		close(pipe_ends[0]);
		return error;
	}
	fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
	child->output = pipe_ends[0];
	return 0;
}

bool child_has_ended(const struct child* child, int* status) {
	*status = 0;
	const pid_t ended = waitpid(child->pid, status, WNOHANG);
	return ended == child->pid || (ended < 0 && errno == ECHILD);
}

void child_ask_to_end(const struct child* child) {
	kill(child->pid, SIGTERM);
}

void child_kill(const struct child* child) {
	kill(-child->pid, SIGKILL);
	kill(child->pid, SIGKILL);
}
