#pragma once

#include <napi.h>

namespace allaprima {

/** Adds RingWriter, RingReader and ringPair of sidecar/frame/shared-ring.ts. */
void defineRing(Napi::Env env, Napi::Object exports);

}
