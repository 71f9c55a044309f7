/* A sink in C: every document becomes a line `target id body` or `target id -` at the end of a file. It is written against
 * plugins/abi/include/flusso_plugin.h and wit/sink.wit, and nothing else.
 *
 *   cc -shared -fPIC -I plugins/abi/include -o c-sink.so tests/guests/c-sink/sink.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flusso_plugin.h"

FLUSSO_MANIFEST(manifest,
    "{\"name\":\"c-sink\",\"version\":\"0.1.0\",\"contract\":\"0.2.0\",\"roles\":[\"sink\"],"
    "\"description\":\"Lines in a file, written by a plugin in C.\","
    "\"settings\":{\"type\":\"object\",\"required\":[\"path\"],\"properties\":{\"path\":{\"type\":\"string\"}},"
    "\"additionalProperties\":false}}");

#define HISTORY 1001
#define TARGETS 64

typedef struct instance {
    FILE *file;
    char path[4096];
    char seeded[TARGETS][HISTORY]; /* empty: not marked */
    char names[TARGETS][256];
    uint32_t targets;
    const flusso_host *host;
} instance;

/* Reading. What is not there sets `wrong`. */
typedef struct input { const uint8_t *at; size_t left; int wrong; } input;

static const uint8_t *take(input *from, size_t count) {
    if (from->left < count) { from->wrong = 1; from->left = 0; return (const uint8_t *)""; }
    const uint8_t *taken = from->at;
    from->at += count; from->left -= count;
    return taken;
}
static uint8_t byte(input *from) { return from->left ? *take(from, 1) : (from->wrong = 1, 0); }
static uint32_t number(input *from) {
    if (from->left < 4) { from->wrong = 1; return 0; }
    const uint8_t *b = take(from, 4);
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static flusso_bytes bytes(input *from) { size_t length = number(from); const uint8_t *data = take(from, length); return (flusso_bytes){data, from->wrong ? 0 : length}; }

/* Writing: an answer is short here. */
typedef struct output { uint8_t data[2048]; size_t length; } output;

static void put(output *to, const void *data, size_t length) {
    if (to->length + length > sizeof to->data) length = sizeof to->data - to->length;
    memcpy(to->data + to->length, data, length);
    to->length += length;
}
static void put_byte(output *to, uint8_t value) { put(to, &value, 1); }
static void put_number(output *to, uint32_t value) { uint8_t b[4] = {value, value >> 8, value >> 16, value >> 24}; put(to, b, 4); }
static void put_text(output *to, const char *text) { put_number(to, (uint32_t)strlen(text)); put(to, text, strlen(text)); }
/* `fatal` is the seventh case of `error`. */
static void put_fatal(output *to, const char *text) { put_byte(to, 1); put_byte(to, 6); put_text(to, text); }

/* A line among the host's: log.log(level, message, fields). */
static void say(instance *self, const char *message) {
    output arguments = {.length = 0};
    flusso_buffer answer = {0};
    put_byte(&arguments, 2); /* info, the third case of `level` */
    put_text(&arguments, message);
    put_number(&arguments, 0);
    self->host->call(self->host->context, (flusso_bytes){(const uint8_t *)"log.log", 7}, (flusso_bytes){arguments.data, arguments.length}, &answer);
    if (answer.free) answer.free(answer.data, answer.length, answer.capacity);
}

/* The text of `"path":"…"` in the settings, which the host has checked against the manifest. */
static int path_of(flusso_bytes settings, char *path, size_t room) {
    char *text = strndup((const char *)settings.data, settings.length);
    char *start = text ? strstr(text, "\"path\":\"") : NULL, *end = start ? strchr(start + 8, '"') : NULL;
    int found = end && (size_t)(end - start - 8) < room && !memchr(start + 8, '\\', (size_t)(end - start - 8));
    if (found) { memcpy(path, start + 8, (size_t)(end - start - 8)); path[end - start - 8] = 0; }
    free(text);
    return found;
}

static void call_function(instance *self, const char *name, input *from, output *to) {
    if (!strcmp(name, "sink.open")) {
        if (!path_of(bytes(from), self->path, sizeof self->path)) { put_fatal(to, "`path` is a text without a backslash"); return; }
        self->file = fopen(self->path, "a");
        if (!self->file) { put_fatal(to, "the file cannot be opened"); return; }
        say(self, "a sink in C is open");
        put_byte(to, 0);
    } else if (!strcmp(name, "sink.ensure-index")) { /* a mapping, whose first field is the name of the index */
        flusso_bytes index = bytes(from);
        uint32_t target = 0;
        while (target < self->targets && (strlen(self->names[target]) != index.length || memcmp(self->names[target], index.data, index.length))) target++;
        if (target == TARGETS || index.length >= sizeof self->names[0]) { put_fatal(to, "too many indexes, or too long a name"); return; }
        if (target == self->targets) { memcpy(self->names[target], index.data, index.length); self->targets++; }
        from->left = 0;
        put_byte(to, 0); put_number(to, target); put_byte(to, 1); put_byte(to, 0); /* empty, no extra */
    } else if (!strcmp(name, "sink.seeded")) {
        uint32_t target = number(from) % TARGETS;
        put_byte(to, 0);
        put_byte(to, self->seeded[target][0] != 0);
        if (self->seeded[target][0]) put_text(to, self->seeded[target]);
    } else if (!strcmp(name, "sink.mark-seeded")) {
        uint32_t target = number(from) % TARGETS;
        flusso_bytes history = bytes(from);
        if (history.length < HISTORY) { memcpy(self->seeded[target], history.data, history.length); self->seeded[target][history.length] = 0; }
        put_byte(to, 0);
    } else if (!strcmp(name, "sink.mark-unseeded")) {
        self->seeded[number(from) % TARGETS][0] = 0;
        put_byte(to, 0);
    } else if (!strcmp(name, "sink.write")) { /* list<document>: target, id, version, option<body> */
        for (uint32_t left = number(from); left && !from->wrong; left--) {
            uint32_t target = number(from);
            flusso_bytes id = bytes(from);
            take(from, 8);
            flusso_bytes body = {(const uint8_t *)"-", 1};
            if (byte(from)) body = bytes(from);
            fprintf(self->file, "%s %.*s %.*s\n", self->names[target % TARGETS], (int)id.length, id.data, (int)body.length, body.data);
        }
        put_byte(to, 0);
    } else if (!strcmp(name, "sink.clear")) {
        take(from, 12);
        put_byte(to, 0);
    } else if (!strcmp(name, "sink.flush")) { /* caught-up, deadline */
        take(from, 9);
        if (fflush(self->file) || fsync(fileno(self->file))) { put_fatal(to, "the file cannot be written"); return; }
        put_byte(to, 0); put_number(to, 0); put_byte(to, 1); put_byte(to, 0); /* none rejected, visible, no extra */
    } else { /* begin-rebuild, promote, abandon: `unsupported`, the sixth case of `error` */
        from->left = 0;
        put_byte(to, 1); put_byte(to, 5);
    }
}

static void release(uint8_t *data, size_t length, size_t capacity) { (void)length; (void)capacity; free(data); }

static void *create(const flusso_host *host) {
    instance *self = host->version == FLUSSO_VERSION ? calloc(1, sizeof *self) : NULL;
    if (self) self->host = host;
    return self;
}
static int32_t call(void *self, flusso_bytes function, flusso_bytes arguments, flusso_buffer *result) {
    char name[64] = "";
    input from = {arguments.data, arguments.length, 0};
    output to = {.length = 0};
    if (function.length >= sizeof name || function.length < 5 || memcmp(function.data, "sink.", 5)) return FLUSSO_UNKNOWN;
    memcpy(name, function.data, function.length);
    call_function(self, name, &from, &to);
    if (from.wrong) return FLUSSO_UNREADABLE;
    *result = (flusso_buffer){malloc(to.length), to.length, to.length, release};
    memcpy(result->data, to.data, to.length);
    return FLUSSO_ANSWERED;
}
static void destroy(void *instance_) {
    instance *self = instance_;
    if (self->file) fclose(self->file);
    free(self);
}

static const flusso_plugin table = {
    sizeof(flusso_plugin), FLUSSO_VERSION,
    {(const uint8_t *)manifest, sizeof manifest - 1}, {(const uint8_t *)"sink", 4},
    create, call, destroy,
};

const flusso_plugin *flusso_plugin_v1(void) { return &table; }
