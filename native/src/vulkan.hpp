#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace allaprima {

/** As Vulkan numbers them. */
enum class VulkanKind : std::uint32_t { OTHER, INTEGRATED, DISCRETE, VIRTUAL, SOFTWARE };

struct VulkanDevice {
	std::string name;
	VulkanKind kind = VulkanKind::OTHER;
	/** With its version; empty where the driver is older than Vulkan 1.2. */
	std::string driver;
	/** Of its own; of the machine where it has none. */
	std::uint64_t memoryBytes = 0;
};

/**
 * The devices of this machine's Vulkan drivers, in their loader's order; none where there is no loader or no
 * driver. Loads the drivers into this process, which may not survive them.
 */
std::vector<VulkanDevice> vulkanDevices();

}
