import { loadNative } from '../native.ts';

// Prints the devices of this machine's Vulkan drivers, as JSON.
process.stdout.write(JSON.stringify(loadNative().vulkanDevices()));
