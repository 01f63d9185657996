import CHiredis
import NIOCore

/// Builds a `RedisValue` from the callbacks of hiredis' reader, which come in the order of the bytes.
///
/// hiredis announces an array before its elements, so the arrays that still lack elements form a stack.
final class RedisReplyBuilder {
    private struct OpenArray {
        var elements: [RedisValue]
        var missing: Int
    }

    /// The most elements reserved when an array is announced: the server may announce more than it sends.
    private static let maximumReservation = 1024

    private var open: [OpenArray] = []
    private var reply: RedisValue?
    /// Why this builder refused a reply; nil where it refused none.
    private(set) var refusal: String?

    /// The finished reply; the builder is ready for the next one.
    func takeReply() -> RedisValue? {
        defer { reply = nil }
        return reply
    }

    /// The sink refers to this builder without owning it: the owner of the sink has to keep the builder alive.
    func makeSink() -> redisReplySink {
        redisReplySink(
            context: Unmanaged.passUnretained(self).toOpaque(),
            string: { context, type, bytes, count in
                RedisReplyBuilder.at(context) { $0.string(type: type, UnsafeRawBufferPointer(start: bytes, count: count)) }
            },
            array: { context, type, count in RedisReplyBuilder.at(context) { $0.array(type: type, count: count) } },
            integer: { context, value in
                RedisReplyBuilder.at(context) { builder in
                    builder.add(.integer(value))
                    return true
                }
            },
            null: { context in
                RedisReplyBuilder.at(context) { builder in
                    builder.add(.null)
                    return true
                }
            }
        )
    }

    private static func at(_ context: UnsafeMutableRawPointer?, _ body: (RedisReplyBuilder) -> Bool) -> CInt {
        guard let context else { return 0 }
        return Unmanaged<RedisReplyBuilder>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0) ? 1 : 0 }
    }

    private func string(type: CInt, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch type {
        case REDIS_REPLY_STRING: add(.bulk(ByteBuffer(bytes: bytes)))
        case REDIS_REPLY_STATUS: add(.simple(String(decoding: bytes, as: UTF8.self)))
        case REDIS_REPLY_ERROR: add(.error(RedisServerError(message: String(decoding: bytes, as: UTF8.self))))
        default: return refuse(type)
        }
        return true
    }

    private func array(type: CInt, count: Int) -> Bool {
        guard type == REDIS_REPLY_ARRAY else { return refuse(type) }
        if count == 0 {
            add(.array([]))
        } else {
            var elements: [RedisValue] = []
            elements.reserveCapacity(min(count, Self.maximumReservation))
            open.append(OpenArray(elements: elements, missing: count))
        }
        return true
    }

    private func refuse(_ type: CInt) -> Bool {
        refusal = "reply type \(type) belongs to RESP 3"
        return false
    }

    private func add(_ value: RedisValue) {
        var value = value
        while let last = open.indices.last {
            open[last].elements.append(value)
            open[last].missing -= 1
            if open[last].missing > 0 { return }
            value = .array(open.removeLast().elements)
        }
        reply = value
    }
}
