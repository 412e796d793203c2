/* Whether a libclang reads a header: libclang LIBRARY HEADER [ARGUMENT...]. Status 0 if it does.
 *
 * Does what bindgen does, without what would have to be built first: loads the library and parses.
 * Loading alone would not tell, as packages of libclang come without the compiler's own headers.
 */
#include <dlfcn.h>
#include <stdio.h>

/* Severity from which on a diagnostic is an error: CXDiagnostic_Error of clang-c/Index.h. */
#define ERROR 3

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    void *(*create)(int, int) = (void *(*)(int, int))dlsym(library, "clang_createIndex");
    int (*parse)(void *, const char *, char **, int, void *, unsigned, unsigned, void **) =
        (int (*)(void *, const char *, char **, int, void *, unsigned, unsigned, void **))dlsym(
            library, "clang_parseTranslationUnit2");
    unsigned (*count)(void *) = (unsigned (*)(void *))dlsym(library, "clang_getNumDiagnostics");
    void *(*get)(void *, unsigned) = (void *(*)(void *, unsigned))dlsym(library, "clang_getDiagnostic");
    unsigned (*severity)(void *) = (unsigned (*)(void *))dlsym(library, "clang_getDiagnosticSeverity");
    if (!create || !parse || !count || !get || !severity) {
        fprintf(stderr, "%s: not libclang\n", argv[1]);
        return 1;
    }
    void *unit = NULL;
    if (parse(create(0, 1), argv[2], argv + 3, argc - 3, NULL, 0, 0, &unit) != 0 || !unit)
        return 1;
    for (unsigned n = 0; n < count(unit); n++)
        if (severity(get(unit, n)) >= ERROR)
            return 1;
    return 0;
}
