// SwiftPM wants a source file; the library itself is a shared object.
#include "CPowerGridModel.h"
