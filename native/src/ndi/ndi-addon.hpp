#pragma once

#include <napi.h>

namespace allaprima {

/** Adds what sidecar/ndi.ts asks of the addon. */
void defineNdi(Napi::Env env, Napi::Object exports);

}
