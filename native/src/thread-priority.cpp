#include "thread-priority.hpp"

#ifdef __linux__
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace allaprima {

bool lowerThreadPriority([[maybe_unused]] int steps) {
#ifdef __linux__
	// On Linux a "process" of setpriority is a thread; steps count from where it is now.
	const auto thread = static_cast<id_t>(gettid());
	return setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + steps) == 0;
#else
	return false;
#endif
}

}
