#include "vulkan.hpp"

#include <algorithm>
#include <cstddef>

#include <dlfcn.h>

namespace allaprima {
namespace {

// The part of Vulkan's C interface that is used here, declared by what is known of its memory layout; the
// headers are not needed.
namespace abi {

using Instance = struct InstanceHandle*;
using PhysicalDevice = struct PhysicalDeviceHandle*;
using Function = void (*)();
using Result = std::int32_t;

constexpr Result SUCCESS = 0, INCOMPLETE = 5;
constexpr std::uint32_t VERSION_1_2 = 1U << 22 | 2U << 12;
constexpr std::uint32_t APPLICATION_INFO = 0, INSTANCE_CREATE_INFO = 1, PROPERTIES_2 = 1000059001,
						DRIVER_PROPERTIES = 1000196000;
constexpr std::uint32_t DEVICE_LOCAL = 1;

struct ApplicationInfo {
	std::uint32_t type = APPLICATION_INFO;
	const void* next = nullptr;
	const char* applicationName = "allaprima";
	std::uint32_t applicationVersion = 0;
	const char* engineName = nullptr;
	std::uint32_t engineVersion = 0;
	std::uint32_t apiVersion = VERSION_1_2;
};

struct InstanceCreateInfo {
	std::uint32_t type = INSTANCE_CREATE_INFO;
	const void* next = nullptr;
	std::uint32_t flags = 0;
	const ApplicationInfo* application = nullptr;
	std::uint32_t layerCount = 0;
	const char* const* layers = nullptr;
	std::uint32_t extensionCount = 0;
	const char* const* extensions = nullptr;
};

struct Properties {
	std::uint32_t apiVersion, driverVersion, vendor, device, kind;
	char name[256];
	std::uint8_t pipelineCache[16];
	alignas(8) std::uint8_t limits[504];
	std::uint32_t sparse[5];
};
static_assert(sizeof(Properties) == 824 && offsetof(Properties, limits) == 296);

struct Properties2 {
	std::uint32_t type = PROPERTIES_2;
	void* next = nullptr;
	Properties properties{};
};

struct DriverProperties {
	std::uint32_t type = DRIVER_PROPERTIES;
	void* next = nullptr;
	std::uint32_t id = 0;
	char name[256] = {};
	char info[256] = {};
	std::uint8_t conformance[4] = {};
};

struct MemoryHeap {
	std::uint64_t bytes;
	std::uint32_t flags;
};

struct MemoryProperties {
	std::uint32_t typeCount;
	std::uint32_t types[32][2];
	std::uint32_t heapCount;
	MemoryHeap heaps[16];
};
static_assert(sizeof(MemoryProperties) == 520 && offsetof(MemoryProperties, heaps) == 264);

}

/** The loader, and an instance of it while this lives. */
class Vulkan {
public:
	Vulkan() {
#ifdef __linux__
		// Threads of drivers may outlive the last call: it is never unloaded.
		void* loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (!loader) return;
		procedure_ = reinterpret_cast<decltype(procedure_)>(dlsym(loader, "vkGetInstanceProcAddr"));
		if (!procedure_) return;
		using Create = abi::Result (*)(const abi::InstanceCreateInfo*, const void*, abi::Instance*);
		const auto create = find<Create>("vkCreateInstance");
		const abi::ApplicationInfo application;
		const abi::InstanceCreateInfo info{.application = &application};
		if (!create || create(&info, nullptr, &instance_) != abi::SUCCESS) instance_ = nullptr;
#endif
	}

	~Vulkan() {
		if (instance_) find<void (*)(abi::Instance, const void*)>("vkDestroyInstance")(instance_, nullptr);
	}

	Vulkan(const Vulkan&) = delete;
	Vulkan& operator=(const Vulkan&) = delete;

	std::vector<VulkanDevice> devices() const {
		if (!instance_) return {};
		using Enumerate = abi::Result (*)(abi::Instance, std::uint32_t*, abi::PhysicalDevice*);
		const auto enumerate = find<Enumerate>("vkEnumeratePhysicalDevices");
		std::uint32_t count = 0;
		if (enumerate(instance_, &count, nullptr) != abi::SUCCESS) return {};
		std::vector<abi::PhysicalDevice> handles(count);
		const abi::Result result = enumerate(instance_, &count, handles.data());
		if (result != abi::SUCCESS && result != abi::INCOMPLETE) return {};
		handles.resize(count);
		std::vector<VulkanDevice> devices;
		for (const abi::PhysicalDevice handle : handles) devices.push_back(describe(handle));
		return devices;
	}

private:
	template <typename Callable>
	Callable find(const char* name) const {
		return reinterpret_cast<Callable>(procedure_(instance_, name));
	}

	VulkanDevice describe(abi::PhysicalDevice handle) const {
		VulkanDevice device;
		abi::Properties properties{};
		find<void (*)(abi::PhysicalDevice, abi::Properties*)>("vkGetPhysicalDeviceProperties")(
			handle, &properties
		);
		device.name = properties.name;
		if (properties.kind <= static_cast<std::uint32_t>(VulkanKind::SOFTWARE)) {
			device.kind = static_cast<VulkanKind>(properties.kind);
		}
		using Describe2 = void (*)(abi::PhysicalDevice, abi::Properties2*);
		const auto describe2 = find<Describe2>("vkGetPhysicalDeviceProperties2");
		if (describe2 && properties.apiVersion >= abi::VERSION_1_2) {
			abi::DriverProperties driver;
			abi::Properties2 both{.next = &driver};
			describe2(handle, &both);
			device.driver = std::string(driver.name) + " " + driver.info;
		}
		abi::MemoryProperties memory{};
		find<void (*)(abi::PhysicalDevice, abi::MemoryProperties*)>("vkGetPhysicalDeviceMemoryProperties")(
			handle, &memory
		);
		for (std::uint32_t i = 0; i < std::min(memory.heapCount, 16U); ++i) {
			if (memory.heaps[i].flags & abi::DEVICE_LOCAL) device.memoryBytes += memory.heaps[i].bytes;
		}
		return device;
	}

	abi::Function (*procedure_)(abi::Instance, const char*) = nullptr;
	abi::Instance instance_ = nullptr;
};

}

std::vector<VulkanDevice> vulkanDevices() {
	return Vulkan().devices();
}

}
