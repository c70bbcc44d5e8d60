#pragma once

#include <cstddef>
#include <cstdint>

constexpr std::uint32_t FUZZED_SLOTS = 4;
constexpr std::size_t FUZZED_PAYLOAD_BYTES = 6000;

/** Input: 4 bytes of capacity (0: that of a slot), then the header of the ring, then that of each slot. */
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
