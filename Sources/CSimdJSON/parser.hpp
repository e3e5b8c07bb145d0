// What both decoders share; not part of the module's face.
#pragma once
#include "csimdjson.h"

#include <cmath>
#include <deque>
#include <simdjson.h>
#include <string>
#include <string_view>

struct csj_parser {
    simdjson::dom::parser parser;
    std::string error;
    // Names put together from a base name and a record's own; valid until the next message.
    std::deque<std::string> names;
};

namespace csj {

void fail(csj_sample &sample, csj_error error, const char *field);

// Words of the JSON payload, as numbers: `unknown` or QUESTIONABLE when not one of them.
uint32_t state_of(std::string_view word);
uint32_t switch_position_of(std::string_view word);
uint32_t quality_of(std::string_view word);

// -0, and what single precision would make -0, becomes 0: whoever asks for a value's sign must not find one in nothing.
inline double settled(double value) { return std::fabs(value) < 1e-37 ? 0.0 : value; }

// Where one quantity has two values, nobody knows which is right.
inline void put(csj_sample &sample, int quantity, double value, const char *field) {
    value = settled(value);
    if ((sample.present >> quantity & 1u) != 0 && sample.values[quantity] != value) return fail(sample, CSJ_REPEATED, field);
    sample.values[quantity] = value;
    sample.present |= 1u << quantity;
}

// The same for a position; it is 0 as long as there is none.
inline void put_position(csj_sample &sample, std::string_view word, const char *field) {
    const auto position = static_cast<uint8_t>(switch_position_of(word));
    if (sample.switch_position != 0 && sample.switch_position != position) return fail(sample, CSJ_REPEATED, field);
    sample.switch_position = position;
}

}  // namespace csj
