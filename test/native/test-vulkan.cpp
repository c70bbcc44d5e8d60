#include <doctest/doctest.h>

#include <cstdlib>

#include "vulkan.hpp"

using namespace allaprima;

TEST_CASE("a machine without a Vulkan driver has no devices") {
	setenv("VK_DRIVER_FILES", "/dev/null", 1);
	setenv("VK_ICD_FILENAMES", "/dev/null", 1);
	CHECK(vulkanDevices().empty());
}
