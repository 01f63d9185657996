#ifndef FIRSTCOME_CHIREDIS_SHIM_H
#define FIRSTCOME_CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>

// hiredis' reader calls functions while it parses. Their table changed between 0.14 (Debian 12) and 1.x: an array's
// length became size_t, and doubles and booleans came with RESP3. Swift sees only the sink below, which is the same for
// both. Each of its functions returns 1 to go on, or 0 to refuse the reply, which makes the reader fail.
typedef struct redisReplySink {
    void *context;
    int (*string)(void *context, int type, const char *bytes, size_t count);
    int (*array)(void *context, int type, size_t count);
    int (*integer)(void *context, long long value);
    int (*null)(void *context);
} redisReplySink;

// What a callback returns only has to be non-null: the reply itself is built on the sink's side.
static inline void *redisReplySinkResult(redisReplySink *sink, int accepted) {
    return accepted ? (void *)sink : NULL;
}

static void *redisReplySinkString(const redisReadTask *task, char *bytes, size_t count) {
    redisReplySink *sink = (redisReplySink *)task->privdata;
    return redisReplySinkResult(sink, sink->string(sink->context, task->type, bytes, count));
}

static void *redisReplySinkInteger(const redisReadTask *task, long long value) {
    redisReplySink *sink = (redisReplySink *)task->privdata;
    return redisReplySinkResult(sink, sink->integer(sink->context, value));
}

static void *redisReplySinkNull(const redisReadTask *task) {
    redisReplySink *sink = (redisReplySink *)task->privdata;
    return redisReplySinkResult(sink, sink->null(sink->context));
}

static void redisReplySinkFree(void *object) { (void)object; }

#if HIREDIS_MAJOR >= 1

static void *redisReplySinkArray(const redisReadTask *task, size_t count) {
    redisReplySink *sink = (redisReplySink *)task->privdata;
    return redisReplySinkResult(sink, sink->array(sink->context, task->type, count));
}

// RESP3 only. The client never asks for RESP3, so a server that sends these violates the protocol; the reply is refused.
static void *redisReplySinkDouble(const redisReadTask *task, double value, char *bytes, size_t count) {
    (void)task; (void)value; (void)bytes; (void)count;
    return NULL;
}

static void *redisReplySinkBoolean(const redisReadTask *task, int value) {
    (void)task; (void)value;
    return NULL;
}

#else

static void *redisReplySinkArray(const redisReadTask *task, int count) {
    redisReplySink *sink = (redisReplySink *)task->privdata;
    return redisReplySinkResult(sink, count >= 0 && sink->array(sink->context, task->type, (size_t)count));
}

#endif

// A reader that passes what it parses to `sink`. The sink must outlive the reader.
static inline redisReader *redisReaderCreateWithSink(redisReplySink *sink) {
    static redisReplyObjectFunctions functions = {
        .createString = redisReplySinkString,
        .createArray = redisReplySinkArray,
        .createInteger = redisReplySinkInteger,
        .createNil = redisReplySinkNull,
        .freeObject = redisReplySinkFree,
#if HIREDIS_MAJOR >= 1
        .createDouble = redisReplySinkDouble,
        .createBool = redisReplySinkBoolean,
#endif
    };
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    if (reader != NULL) { reader->privdata = sink; }
    return reader;
}

// Arrays within arrays that the reader accepts: 0.14 keeps nine fixed levels, of which the last holds no array; 1.x grows.
#if HIREDIS_MAJOR >= 1
enum { redisReaderMaximumDepth = 9 };
#else
enum { redisReaderMaximumDepth = 8 };
#endif

#endif
