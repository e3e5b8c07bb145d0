#include <popt.h>

/// `poptOption` is both a struct and a pointer typedef in popt.h; Swift needs a name that is only the struct.
typedef struct poptOption cpopt_option;
