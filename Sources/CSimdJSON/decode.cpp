#include "parser.hpp"

#include <cstring>
#include <limits>
#include <new>

using namespace simdjson;

static_assert(CSJ_QUANTITIES <= 32, "present is a 32-bit set");

namespace {

// Digits at text[at…at+count); -1 if one is not a digit.
int digits(const char *text, int count) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil).
int64_t days(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const unsigned yoe = static_cast<unsigned>(year - era * 400);
    const unsigned doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

struct name_code { std::string_view name; uint32_t code; };

constexpr name_code states[] = {{"unknown", 1}, {"off", 2}, {"sleeping", 3}, {"starting", 4}, {"running", 5}, {"throttled", 6},
                                {"shutting_down", 7}, {"fault", 8}, {"standby", 9}, {"test", 10}};
constexpr name_code positions[] = {{"open", 1}, {"closed", 2}, {"intermediate", 3}, {"unknown", 4}};
constexpr name_code qualities[] = {{"INVALID", 1u << 0}, {"QUESTIONABLE", 1u << 1}, {"OLD", 1u << 2},
                                   {"OUT_OF_RANGE", 1u << 3}, {"FROZEN", 1u << 4}, {"TEST", 1u << 5},
                                   {"CLOCK_SUSPECT", 1u << 6}, {"SIGN_UNVERIFIED", 1u << 7},
                                   {"SIGN_SUSPECT", 1u << 8}, {"INCONSISTENT", 1u << 9}, {"SUBSTITUTED", 1u << 10},
                                   {"ESTIMATED", 1u << 11}};

template <size_t N> uint32_t look_up(const name_code (&table)[N], std::string_view name, uint32_t otherwise) {
    for (const auto &entry : table)
        if (entry.name == name) return entry.code;
    return otherwise;
}

}  // namespace

namespace csj {

void fail(csj_sample &sample, csj_error error, const char *field) {
    if (sample.error != CSJ_OK) return;
    sample.error = error;
    sample.error_field = field;
}

uint32_t state_of(std::string_view word) { return look_up(states, word, 1); }
// A switch that reports a word we do not know no longer stands where it stood before, as far as we know.
uint32_t switch_position_of(std::string_view word) { return look_up(positions, word, 4); }
// A word that we do not know must not count as good: QUESTIONABLE.
uint32_t quality_of(std::string_view word) { return look_up(qualities, word, 1u << 1); }

}  // namespace csj

namespace {

using csj::fail;

void put(csj_sample &sample, int quantity, dom::element value, const char *field) {
    double number;
    if (value.is_null()) return;
    if (value.get_double().get(number) != SUCCESS) return fail(sample, CSJ_WRONG_TYPE, field);
    csj::put(sample, quantity, number, field);
}

// A number, or an array of three with null where a phase is absent.
void put_phases(csj_sample &sample, int total, int phase_a, dom::element value, const char *field) {
    dom::array phases;
    if (value.get_array().get(phases) != SUCCESS) return put(sample, total, value, field);
    if (phases.size() != 3) return fail(sample, CSJ_WRONG_TYPE, field);
    int phase = phase_a;
    for (dom::element element : phases) put(sample, phase++, element, field);
}

void decode_sample(dom::element element, csj_sample &sample) {
    sample.device = nullptr;
    sample.device_length = 0;
    sample.present = 0;
    sample.quality = 0;
    sample.state = 0;
    sample.switch_position = 0;
    sample.error = CSJ_OK;
    sample.error_field = "";
    sample.time_us = 0;
    dom::object object;
    if (element.get_object().get(object) != SUCCESS) return fail(sample, CSJ_NOT_AN_OBJECT, "samples");
    bool has_time = false;
    for (auto field : object) {
        const std::string_view key = field.key;
        const dom::element value = field.value;
        if (key == "device") {
            std::string_view text;
            if (value.get_string().get(text) != SUCCESS) { fail(sample, CSJ_WRONG_TYPE, "device"); continue; }
            if (sample.device != nullptr && std::string_view(sample.device, sample.device_length) != text)
                fail(sample, CSJ_REPEATED, "device");
            sample.device = text.data();
            sample.device_length = static_cast<uint32_t>(text.size());
        } else if (key == "time") {
            std::string_view text;
            int64_t micros = 0;
            if (value.get_int64().get(micros) != SUCCESS &&
                (value.get_string().get(text) != SUCCESS || !csj_parse_time(text.data(), text.size(), &micros)))
                fail(sample, CSJ_BAD_TIME, "time");
            if (has_time && sample.time_us != micros) fail(sample, CSJ_REPEATED, "time");
            sample.time_us = micros;
            has_time = true;
        } else if (key == "active_power_w") {
            put_phases(sample, CSJ_ACTIVE_POWER_W, CSJ_ACTIVE_POWER_A_W, value, "active_power_w");
        } else if (key == "reactive_power_var") {
            put_phases(sample, CSJ_REACTIVE_POWER_VAR, CSJ_REACTIVE_POWER_A_VAR, value, "reactive_power_var");
        } else if (key == "voltage_v") {
            put_phases(sample, CSJ_VOLTAGE_V, CSJ_VOLTAGE_A_V, value, "voltage_v");
        } else if (key == "current_a") {
            put_phases(sample, CSJ_CURRENT_A, CSJ_CURRENT_A_A, value, "current_a");
        } else if (key == "frequency_hz") {
            put(sample, CSJ_FREQUENCY_HZ, value, "frequency_hz");
        } else if (key == "state_of_charge_pct") {
            put(sample, CSJ_STATE_OF_CHARGE_PCT, value, "state_of_charge_pct");
        } else if (key == "interval_s") {
            put(sample, CSJ_INTERVAL_S, value, "interval_s");
        } else if (key == "limit_w") {
            put(sample, CSJ_LIMIT_W, value, "limit_w");
        } else if (key == "energy_imported_wh") {
            put(sample, CSJ_ENERGY_IMPORTED_WH, value, "energy_imported_wh");
        } else if (key == "energy_exported_wh") {
            put(sample, CSJ_ENERGY_EXPORTED_WH, value, "energy_exported_wh");
        } else if (key == "tap_position") {
            put(sample, CSJ_TAP_POSITION, value, "tap_position");
        } else if (key == "state") {
            std::string_view text;
            if (value.is_null()) continue;
            if (value.get_string().get(text) != SUCCESS) { fail(sample, CSJ_WRONG_TYPE, "state"); continue; }
            sample.state = static_cast<uint8_t>(csj::state_of(text));
        } else if (key == "switch_position") {
            std::string_view text;
            if (value.is_null()) continue;
            if (value.get_string().get(text) != SUCCESS) { fail(sample, CSJ_WRONG_TYPE, "switch_position"); continue; }
            csj::put_position(sample, text, "switch_position");
        } else if (key == "quality") {
            dom::array words;
            if (value.is_null()) continue;
            if (value.get_array().get(words) != SUCCESS) { fail(sample, CSJ_WRONG_TYPE, "quality"); continue; }
            for (dom::element word : words) {
                std::string_view text;
                if (word.get_string().get(text) != SUCCESS) { fail(sample, CSJ_WRONG_TYPE, "quality"); break; }
                sample.quality |= csj::quality_of(text);
            }
        }
    }
    if (sample.device == nullptr) fail(sample, CSJ_MISSING, "device");
    if (!has_time) fail(sample, CSJ_MISSING, "time");
}

}  // namespace

csj_parser *csj_parser_new(void) { return new (std::nothrow) csj_parser(); }
void csj_parser_free(csj_parser *parser) { delete parser; }

ptrdiff_t csj_decode(csj_parser *parser, const char *data, size_t length, csj_sample *samples, size_t capacity,
                     const char **error) {
    dom::element root;
    if (auto code = parser->parser.parse(data, length, true).get(root)) {
        parser->error = error_message(code);
        *error = parser->error.c_str();
        return -1;
    }
    dom::object message;
    dom::array array;
    size_t lists = 0;
    if (root.get_object().get(message) == SUCCESS)
        for (auto field : message)
            if (field.key == "samples" && field.value.get_array().get(array) == SUCCESS) lists++;
    if (lists != 1) {
        *error = "expected an object with one array \"samples\"";
        return -1;
    }
    size_t count = 0;
    for (dom::element element : array) {
        if (count == capacity) return -2;
        decode_sample(element, samples[count++]);
    }
    return static_cast<ptrdiff_t>(count);
}

size_t csj_sample_ranges(const char *data, size_t length, csj_range *ranges, size_t capacity) {
    // The text has been parsed, so it is well-formed: depth and strings are all that must be followed.
    int depth = 0;
    bool in_text = false, in_samples = false;
    size_t element = 0, start = 0, text_start = 0;
    std::string_view last_text;
    for (size_t i = 0; i < length; i++) {
        const char c = data[i];
        if (in_text) {
            if (c == '\\') { i++; continue; }
            if (c == '"') { in_text = false; last_text = std::string_view(data + text_start, i - text_start); }
            continue;
        }
        switch (c) {
        case '"': in_text = true; text_start = i + 1; break;
        case '[': case '{':
            depth++;
            if (c == '[' && depth == 2 && last_text == "samples") { in_samples = true; start = i + 1; }
            break;
        case ']': case '}':
            depth--;
            if (in_samples && depth == 1) {
                if (element < capacity) ranges[element++] = {start, i - start};
                return element;
            }
            break;
        case ',':
            if (in_samples && depth == 2) {
                if (element == capacity) return element;
                ranges[element++] = {start, i - start};
                start = i + 1;
            }
            break;
        default: break;
        }
    }
    return element;
}

int csj_parse_time(const char *text, size_t length, int64_t *time_us) {
    // 2026-06-21T11:00:00[.123456](Z|+hh:mm)
    if (length < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') ||
        text[13] != ':' || text[16] != ':')
        return 0;
    const int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    const int hour = digits(text + 11, 2), minute = digits(text + 14, 2), second = digits(text + 17, 2);
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return 0;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2 && day == 29 && !leap) return 0;
    size_t at = 19;
    int64_t micros = 0;
    if (text[at] == '.') {
        int64_t unit = 100000;
        const size_t first = ++at;
        for (; at < length && text[at] >= '0' && text[at] <= '9'; at++) {
            micros += (text[at] - '0') * unit;
            unit /= 10;
        }
        if (at == first) return 0;
    }
    if (at >= length) return 0;
    int64_t offset = 0;
    if (text[at] == 'Z' || text[at] == 'z') {
        if (at + 1 != length) return 0;
    } else if ((text[at] == '+' || text[at] == '-') && at + 6 == length && text[at + 3] == ':') {
        const int hours = digits(text + at + 1, 2), minutes = digits(text + at + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return 0;
        offset = (hours * 60 + minutes) * 60 * (text[at] == '-' ? -1 : 1);
    } else {
        return 0;
    }
    const int64_t seconds = days(year, static_cast<unsigned>(month), static_cast<unsigned>(day)) * 86400 +
                            hour * 3600 + minute * 60 + second - offset;
    *time_us = seconds * 1000000 + micros;
    return 1;
}
