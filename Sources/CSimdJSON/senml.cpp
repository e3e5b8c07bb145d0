// SenML (RFC 8428) in JSON to samples: records of one device and one time become one sample.
#include "parser.hpp"

#include <cmath>
#include <cstring>
#include <unordered_map>

using namespace simdjson;

namespace {

// What a number measures, whatever its prefix.
enum class dimension : uint8_t { none, power, reactive, voltage, current, frequency, charge, energy, time, text };

struct unit { std::string_view name; dimension measures; double factor; };

// RFC 8428 section 12.1, RFC 8798 section 3 and the registry's secondary units, as far as a sample can carry them.
constexpr unit units[] = {
    {"W", dimension::power, 1}, {"kW", dimension::power, 1e3}, {"MW", dimension::power, 1e6},
    {"var", dimension::reactive, 1}, {"kvar", dimension::reactive, 1e3}, {"V", dimension::voltage, 1},
    {"mV", dimension::voltage, 1e-3}, {"kV", dimension::voltage, 1e3}, {"A", dimension::current, 1},
    {"mA", dimension::current, 1e-3}, {"Hz", dimension::frequency, 1}, {"%EL", dimension::charge, 1},
    {"%", dimension::charge, 1}, {"/", dimension::charge, 100}, {"Wh", dimension::energy, 1},
    {"kWh", dimension::energy, 1e3}, {"J", dimension::energy, 1.0 / 3600}, {"s", dimension::time, 1},
    {"min", dimension::time, 60}, {"", dimension::none, 1},
};

struct quantity { std::string_view name; dimension measures; int place; };

enum { STATE = -1, SWITCH_POSITION = -2, QUALITY = -3 };

constexpr quantity quantities[] = {
    {"active_power", dimension::power, CSJ_ACTIVE_POWER_W},
    {"reactive_power", dimension::reactive, CSJ_REACTIVE_POWER_VAR},
    {"voltage", dimension::voltage, CSJ_VOLTAGE_V},
    {"current", dimension::current, CSJ_CURRENT_A},
    {"frequency", dimension::frequency, CSJ_FREQUENCY_HZ},
    {"state_of_charge", dimension::charge, CSJ_STATE_OF_CHARGE_PCT},
    {"interval", dimension::time, CSJ_INTERVAL_S},
    {"limit", dimension::power, CSJ_LIMIT_W},
    {"active_power_a", dimension::power, CSJ_ACTIVE_POWER_A_W},
    {"active_power_b", dimension::power, CSJ_ACTIVE_POWER_B_W},
    {"active_power_c", dimension::power, CSJ_ACTIVE_POWER_C_W},
    {"reactive_power_a", dimension::reactive, CSJ_REACTIVE_POWER_A_VAR},
    {"reactive_power_b", dimension::reactive, CSJ_REACTIVE_POWER_B_VAR},
    {"reactive_power_c", dimension::reactive, CSJ_REACTIVE_POWER_C_VAR},
    {"voltage_a", dimension::voltage, CSJ_VOLTAGE_A_V},
    {"voltage_b", dimension::voltage, CSJ_VOLTAGE_B_V},
    {"voltage_c", dimension::voltage, CSJ_VOLTAGE_C_V},
    {"current_a", dimension::current, CSJ_CURRENT_A_A},
    {"current_b", dimension::current, CSJ_CURRENT_B_A},
    {"current_c", dimension::current, CSJ_CURRENT_C_A},
    {"energy_imported", dimension::energy, CSJ_ENERGY_IMPORTED_WH},
    {"energy_exported", dimension::energy, CSJ_ENERGY_EXPORTED_WH},
    {"tap_position", dimension::none, CSJ_TAP_POSITION},
    {"state", dimension::text, STATE},
    {"switch_position", dimension::text, SWITCH_POSITION},
    {"quality", dimension::text, QUALITY},
};

// What a bare device name with a unit means.
constexpr quantity by_unit[] = {
    {"W", dimension::power, CSJ_ACTIVE_POWER_W},     {"var", dimension::reactive, CSJ_REACTIVE_POWER_VAR},
    {"V", dimension::voltage, CSJ_VOLTAGE_V},        {"A", dimension::current, CSJ_CURRENT_A},
    {"Hz", dimension::frequency, CSJ_FREQUENCY_HZ},  {"%EL", dimension::charge, CSJ_STATE_OF_CHARGE_PCT},
};

const unit *find_unit(std::string_view name) {
    for (const auto &item : units)
        if (item.name == name) return &item;
    return nullptr;
}

// Base fields of RFC 8428 section 4.1: they hold from their record on.
struct base {
    std::string_view name, unit;
    double time = 0, value = 0;
    bool has_value = false;
};

struct record {
    std::string_view name, unit, text;
    double time = 0, value = 0;
    bool has_unit = false, has_value = false, has_text = false;
};

// Returns the field that is wrong, or nullptr.
const char *read(dom::object object, base &base, record &record) {
    for (auto field : object) {
        const std::string_view key = field.key;
        const dom::element value = field.value;
        if (key == "bn") {
            if (value.get_string().get(base.name) != SUCCESS) return "bn";
        } else if (key == "bu") {
            if (value.get_string().get(base.unit) != SUCCESS) return "bu";
        } else if (key == "bt") {
            if (value.get_double().get(base.time) != SUCCESS) return "bt";
        } else if (key == "bv") {
            if (value.get_double().get(base.value) != SUCCESS) return "bv";
            base.has_value = true;
        } else if (key == "bver") {
            double version;
            if (value.get_double().get(version) != SUCCESS || version > 10) return "bver";
        } else if (key == "n") {
            if (value.get_string().get(record.name) != SUCCESS) return "n";
        } else if (key == "u") {
            if (value.get_string().get(record.unit) != SUCCESS) return "u";
            record.has_unit = true;
        } else if (key == "t") {
            if (value.get_double().get(record.time) != SUCCESS) return "t";
        } else if (key == "v") {
            if (value.get_double().get(record.value) != SUCCESS) return "v";
            record.has_value = true;
        } else if (key == "vs") {
            if (value.get_string().get(record.text) != SUCCESS) return "vs";
            record.has_text = true;
        } else if (!key.empty() && key.back() == '_') {
            // Section 4.4: who does not know such a field must refuse the record.
            return "field_";
        }
    }
    return nullptr;
}

// Base name and own name, put together only where there are both.
std::string_view full_name(csj_parser *parser, std::string_view base, std::string_view own) {
    if (base.empty()) return own;
    if (own.empty()) return base;
    parser->names.emplace_back();
    parser->names.back().reserve(base.size() + own.size());
    parser->names.back().append(base).append(own);
    return parser->names.back();
}

void clear(csj_sample &sample, std::string_view device, int64_t time_us) {
    sample.device = device.data();
    sample.device_length = static_cast<uint32_t>(device.size());
    sample.time_us = time_us;
    sample.present = 0;
    sample.quality = 0;
    sample.state = 0;
    sample.switch_position = 0;
    sample.error = CSJ_OK;
    sample.error_field = "";
}

void put(csj_sample &sample, const quantity &what, const record &record, const unit &unit, double base_value) {
    if (what.place >= 0) {
        if (!record.has_value) return csj::fail(sample, CSJ_WRONG_TYPE, "v");
        if (unit.measures != what.measures) return csj::fail(sample, CSJ_WRONG_TYPE, "u");
        return csj::put(sample, what.place, (base_value + record.value) * unit.factor, "v");
    }
    if (!record.has_text) return csj::fail(sample, CSJ_WRONG_TYPE, "vs");
    switch (what.place) {
    case STATE: sample.state = static_cast<uint8_t>(csj::state_of(record.text)); break;
    case SWITCH_POSITION: csj::put_position(sample, record.text, "vs"); break;
    default: sample.quality |= csj::quality_of(record.text);
    }
}

struct sample_key {
    std::string_view device;
    int64_t time_us;
    bool operator==(const sample_key &other) const { return time_us == other.time_us && device == other.device; }
};

struct sample_hash {
    size_t operator()(const sample_key &key) const {
        return std::hash<std::string_view>()(key.device) ^ (std::hash<int64_t>()(key.time_us) * 0x9e3779b97f4a7c15ull);
    }
};

}  // namespace

ptrdiff_t csj_decode_senml(csj_parser *parser, const char *data, size_t length, csj_sample *samples, size_t capacity,
                           const char **error) {
    parser->names.clear();
    dom::element root;
    if (auto code = parser->parser.parse(data, length, true).get(root)) {
        parser->error = error_message(code);
        *error = parser->error.c_str();
        return -1;
    }
    dom::array array;
    if (root.get_array().get(array) != SUCCESS) {
        *error = "expected a SenML pack: an array of records";
        return -1;
    }
    std::unordered_map<sample_key, size_t, sample_hash> places;
    size_t count = 0;
    base base;
    for (dom::element element : array) {
        record record;
        dom::object object;
        const bool is_object = element.get_object().get(object) == SUCCESS;
        const char *wrong = is_object ? read(object, base, record) : nullptr;
        // A record of base fields alone carries nothing, RFC 8428 section 4.1 allows it.
        if (is_object && wrong == nullptr && !record.has_value && !record.has_text && record.name.empty() &&
            !base.has_value)
            continue;
        const std::string_view name = full_name(parser, base.name, record.name);
        const std::string_view unit_name = record.has_unit ? record.unit : base.unit;
        const unit *unit = find_unit(unit_name);
        const quantity *what = nullptr;
        std::string_view device = name;
        if (const size_t slash = name.rfind('/'); slash != std::string_view::npos) {
            for (const auto &item : quantities)
                if (item.name == name.substr(slash + 1)) what = &item;
            if (what != nullptr) device = name.substr(0, slash);
        }
        if (what == nullptr && unit != nullptr) {
            for (const auto &item : by_unit)
                if (item.measures == unit->measures) what = &item;
        }
        const double seconds = base.time + record.time;
        // Section 4.5.3: smaller times are relative to now, and nobody could say afterwards what that was.
        const bool has_time = seconds >= 268435456.0 && seconds < 9e12;
        const int64_t time_us = has_time ? static_cast<int64_t>(std::llround(seconds * 1e6)) : 0;
        csj_sample *sample = nullptr;
        if (count > 0 && samples[count - 1].time_us == time_us &&
            std::string_view(samples[count - 1].device, samples[count - 1].device_length) == device) {
            sample = &samples[count - 1];
        } else if (const auto found = places.find({device, time_us}); found != places.end()) {
            sample = &samples[found->second];
        } else {
            if (count == capacity) return -2;
            places.emplace(sample_key{device, time_us}, count);
            sample = &samples[count++];
            clear(*sample, device, time_us);
        }
        if (!is_object) csj::fail(*sample, CSJ_NOT_AN_OBJECT, "record");
        else if (wrong != nullptr) csj::fail(*sample, CSJ_WRONG_TYPE, wrong);
        else if (device.empty()) csj::fail(*sample, CSJ_MISSING, "n");
        else if (!has_time) csj::fail(*sample, CSJ_BAD_TIME, "t");
        else if (unit == nullptr) csj::fail(*sample, CSJ_WRONG_TYPE, "u");
        else if (what == nullptr) csj::fail(*sample, CSJ_WRONG_TYPE, "n");
        else {
            // A base value alone is a value too.
            if (base.has_value && !record.has_text) record.has_value = true;
            put(*sample, *what, record, *unit, base.value);
        }
    }
    return static_cast<ptrdiff_t>(count);
}
