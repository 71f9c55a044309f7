/* flusso_plugin.h: how flusso-host calls a plugin that is a native library. Version 1.
 *
 * A plugin keeps the contract of `wit/`, whose text says what each function promises. Here stands only how a call gets from the
 * host to the plugin and back: a function by its name, its arguments and its result as bytes.
 *
 * What a library has:
 *
 *   - one exported symbol, `flusso_plugin_v1`, a function without arguments that returns the table below;
 *   - a section `flusso_manifest` (on macOS `__DATA,flusso_manifest`) with the manifest, a JSON text; it is read before any
 *     code of the library runs, so that `flusso-host plugin list` and `inspect` load nothing. FLUSSO_MANIFEST declares it. Where
 *     it is not known before the code runs, `flusso-host plugin build --native` writes it behind the end of the file.
 *
 * How values are written, with nothing between them:
 *
 *   bool                       one byte, 0 or 1
 *   u8 … u64, s32, s64, f64    little-endian, in their size
 *   string                     its length in bytes as a u32, then UTF-8
 *   list<t>                    its length as a u32, then each
 *   option<t>                  0; or 1 and the value
 *   result<t, e>               0 and the value; or 1 and the error
 *   enum, variant              the number of the case, from 0, as one byte; then its value, if it has one
 *   record, tuple, arguments   each, in the order of wit/
 *   a handle of a resource     a u32
 *
 * A function that returns nothing (`result<_, error>` with ok) writes nothing for it: one byte, 0.
 *
 * Functions are named after their interface: `sink.write`, `sink.ensure-index`. What the host offers is named the same way:
 * `log.log`, `state.get`, `net.connect`, `net.connection.read`, …; the first argument of a function of a resource is its handle,
 * and `net.connection.drop` gives one back.
 *
 * Threads: the host makes one thread an instance. `create`, every `call` and `destroy` of an instance happen on it, one at a time.
 * A call may take as long as `limits.call_timeout`; then the host goes on without the instance and makes another one.
 *
 * Nothing but bytes crosses: no exception, no longjmp, no allocator. A library is never unloaded.
 */
#ifndef FLUSSO_PLUGIN_H
#define FLUSSO_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define FLUSSO_VERSION 1

/* What a call came to. */
#define FLUSSO_ANSWERED 0   /* the result is what the function returned, which may be one of the contract's errors */
#define FLUSSO_FAILED 1     /* the plugin failed inside; the result is a text that says how; the instance is used no more */
#define FLUSSO_UNKNOWN 2    /* there is no such function */
#define FLUSSO_UNREADABLE 3 /* the arguments cannot be read; the result is a text that says why */

/* Bytes that are lent for the time of one call. */
typedef struct flusso_bytes {
    const uint8_t *data; /* anything where the length is 0 */
    size_t length;
} flusso_bytes;

/* Bytes that are handed over. Who gets them calls `free` once, with the three values as they are. */
typedef struct flusso_buffer {
    uint8_t *data;
    size_t length;
    size_t capacity; /* read by `free` alone */
    void (*free)(uint8_t *data, size_t length, size_t capacity); /* null: there is nothing to give back */
} flusso_buffer;

/* What an instance may call, lent for as long as it lives; on its own thread, while the host has called it. */
typedef struct flusso_host {
    uint32_t size;    /* of this struct, which grows at its end */
    uint32_t version; /* FLUSSO_VERSION */
    void *context;    /* for `call` */
    int32_t (*call)(void *context, flusso_bytes function, flusso_bytes arguments, flusso_buffer *result);
} flusso_host;

/* What a library is. */
typedef struct flusso_plugin {
    uint32_t size;           /* of this struct, which grows at its end */
    uint32_t version;        /* FLUSSO_VERSION */
    flusso_bytes manifest;   /* the same text as in the section; empty: the function `plugin.manifest` says it */
    flusso_bytes interfaces; /* those that it exports, by their names in wit/, with a space between them: "sink inventory" */
    void *(*create)(const flusso_host *host); /* a new instance; null: it cannot be made */
    int32_t (*call)(void *instance, flusso_bytes function, flusso_bytes arguments, flusso_buffer *result);
    void (*destroy)(void *instance);
} flusso_plugin;

/* Declares the manifest in its section: FLUSSO_MANIFEST(manifest, "{\"name\":\"x\", …}"); */
#if defined(__APPLE__)
#define FLUSSO_SECTION "__DATA,flusso_manifest"
#else
#define FLUSSO_SECTION "flusso_manifest"
#endif
#define FLUSSO_MANIFEST(name, text) __attribute__((used, section(FLUSSO_SECTION))) static const char name[] = text

/* The one symbol. The table stays as long as the process does. */
__attribute__((visibility("default"))) const flusso_plugin *flusso_plugin_v1(void);

#endif
