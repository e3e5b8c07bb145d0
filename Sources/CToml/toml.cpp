#include "ctoml.h"

#define TOML_HEADER_ONLY 0
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <toml++/toml.h>

static char *copy(const std::string &text) { return strdup(text.c_str()); }

char *ctoml_to_json(const char *text, char **error) {
    *error = nullptr;
    try {
        toml::table table = toml::parse(std::string_view(text));
        std::ostringstream out;
        out << toml::json_formatter{table};
        return copy(out.str());
    } catch (const toml::parse_error &failure) {
        std::ostringstream out;
        out << failure.source().begin.line << ":" << failure.source().begin.column << ": " << failure.description();
        *error = copy(out.str());
    } catch (const std::exception &failure) {
        *error = copy(failure.what());
    }
    return nullptr;
}

void ctoml_free(char *text) { free(text); }
