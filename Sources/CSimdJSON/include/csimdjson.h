// Telemetry batches in JSON, read by simdjson: a C face, because Swift cannot hold simdjson's C++ types.
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/// Places in csj_sample.values; bit n of csj_sample.present says that values[n] is there.
enum csj_quantity {
    CSJ_ACTIVE_POWER_W, CSJ_REACTIVE_POWER_VAR, CSJ_VOLTAGE_V, CSJ_CURRENT_A, CSJ_FREQUENCY_HZ,
    CSJ_STATE_OF_CHARGE_PCT, CSJ_INTERVAL_S, CSJ_LIMIT_W,
    CSJ_ACTIVE_POWER_A_W, CSJ_ACTIVE_POWER_B_W, CSJ_ACTIVE_POWER_C_W,
    CSJ_REACTIVE_POWER_A_VAR, CSJ_REACTIVE_POWER_B_VAR, CSJ_REACTIVE_POWER_C_VAR,
    CSJ_VOLTAGE_A_V, CSJ_VOLTAGE_B_V, CSJ_VOLTAGE_C_V,
    CSJ_CURRENT_A_A, CSJ_CURRENT_B_A, CSJ_CURRENT_C_A,
    CSJ_ENERGY_IMPORTED_WH, CSJ_ENERGY_EXPORTED_WH, CSJ_TAP_POSITION,
    CSJ_QUANTITIES
};

/// One sample as it was sent, not yet checked against anything but its shape.
typedef struct {
    const char *device;      // inside the parser's memory: valid until the next csj_decode
    uint32_t device_length;
    uint32_t present;
    int64_t time_us;         // microseconds since 1970
    double values[CSJ_QUANTITIES];
    uint32_t quality;        // bits as in GridModel.Quality
    uint8_t state;           // 0 absent, else 1 + index in csj_state_names
    uint8_t switch_position; // 0 absent, 1 open, 2 closed, 3 intermediate, 4 unknown
    uint8_t error;           // enum csj_error; the sample must then be refused
    const char *error_field; // static text, which field was wrong
} csj_sample;

// Swift sees the array as a tuple, whose elements it cannot count through.
static inline double *csj_values(csj_sample *sample) { return sample->values; }

enum csj_error { CSJ_OK, CSJ_MISSING, CSJ_WRONG_TYPE, CSJ_BAD_TIME, CSJ_NOT_AN_OBJECT, CSJ_REPEATED };

typedef struct csj_parser csj_parser;

csj_parser *csj_parser_new(void);
void csj_parser_free(csj_parser *parser);

/// Decodes {"samples":[…]} into at most `capacity` samples. Returns their number, or -1 with *error set to a static or
/// parser-owned text when the message as a whole is unusable, or -2 when it holds more than `capacity`.
ptrdiff_t csj_decode(csj_parser *parser, const char *data, size_t length, csj_sample *samples, size_t capacity,
                     const char **error);

/// The same for a SenML pack (RFC 8428): records of one device and time become one sample.
ptrdiff_t csj_decode_senml(csj_parser *parser, const char *data, size_t length, csj_sample *samples, size_t capacity,
                           const char **error);

typedef struct csj_range { size_t offset, count; } csj_range;

/// Finds the bytes of each sample in the original text, for the reject table, in one pass. Returns how many were found.
size_t csj_sample_ranges(const char *data, size_t length, csj_range *ranges, size_t capacity);

/// RFC 3339 with zone to microseconds since 1970. Returns 0 when the text is not that.
int csj_parse_time(const char *text, size_t length, int64_t *time_us);

#ifdef __cplusplus
}
#endif
