#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/// Parses TOML and returns it as JSON text in memory that the caller frees with ctoml_free.
/// On a syntax error returns NULL and sets *error to "line:column: what", also to be freed.
char *ctoml_to_json(const char *text, char **error);
void ctoml_free(char *text);

#ifdef __cplusplus
}
#endif
