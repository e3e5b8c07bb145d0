#pragma once
// power-grid-model's C interface (MPL-2.0), put into vendor/ by scripts/install-dependencies.
#include "../../../vendor/power-grid-model/include/power_grid_model_c.h"
