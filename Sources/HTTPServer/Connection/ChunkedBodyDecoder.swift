import NIOCore

/// Decodes the chunks of one body as its bytes arrive (RFC 9112 section 7.1). Extensions and trailers are checked and dropped.
struct ChunkedBodyDecoder: Equatable, Sendable {
    private enum State: Equatable {
        /// The size in hexadecimal, with as many digits as were read.
        case size(digits: Int)
        case extensionName(isEmpty: Bool)
        case extensionValue(isEmpty: Bool)
        case extensionQuoted
        case extensionEscape
        case extensionEnd
        case sizeLineFeed
        case data
        case dataCarriageReturn
        case dataLineFeed
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLineFeed
        case lastLineFeed
        case complete
    }

    private var state = State.size(digits: 0)
    /// Bytes of the current chunk that have not arrived.
    private var remaining = 0
    /// Bytes read so far that are framing: sizes, extensions, line ends and trailers.
    private var framingByteCount = 0

    /// Hexadecimal digits of a chunk size, leading zeros included: more than any size within the body limit needs.
    private static let maximumDigits = 8
    /// Framing allowed per byte of body; a chunk of one byte needs five. `maximumHeaderBytes` come on top, for extensions and trailers.
    private static let framingPerBodyByte = 8

    /// Moves what `input` holds of the body to `body`. True once the body is complete; what follows it stays in `input`.
    mutating func decode(_ input: inout ByteBuffer, into body: inout ByteBuffer, limits: HTTPLimits) throws(HTTPRefusal) -> Bool {
        while state != .complete, input.readableBytes > 0 {
            if state == .data {
                takeData(from: &input, into: &body)
            } else {
                try readFraming(of: &input, bodyByteCount: body.readableBytes, limits)
            }
        }
        return state == .complete
    }

    private mutating func takeData(from input: inout ByteBuffer, into body: inout ByteBuffer) {
        let count = min(remaining, input.readableBytes)
        if var data = input.readSlice(length: count) { body.writeBuffer(&data) }
        remaining -= count
        if remaining == 0 { state = .dataCarriageReturn }
    }

    /// Reads framing up to the next chunk's data, the end of the body or the end of the bytes.
    private mutating func readFraming(of input: inout ByteBuffer, bodyByteCount: Int, _ limits: HTTPLimits) throws(HTTPRefusal) {
        let allowed = limits.maximumHeaderBytes + bodyByteCount * Self.framingPerBodyByte - framingByteCount
        let (count, refusal) = input.withUnsafeReadableBytes { bytes -> (Int, HTTPRefusal?) in
            var index = 0
            do throws(HTTPRefusal) {
                while index < bytes.count, index <= allowed, state != .data, state != .complete {
                    try read(bytes[index], bodyByteCount, limits)
                    index += 1
                }
                return (index, nil)
            } catch {
                return (index, error)
            }
        }
        // Also where the body is too large: under a higher limit, decoding goes on with the byte that was refused.
        input.moveReaderIndex(forwardBy: count)
        framingByteCount += count
        if let refusal { throw refusal }
        guard count <= allowed else {
            throw isInTrailers ? .headersTooLarge : .badRequest(reason: "The chunked body has too much framing.")
        }
    }

    private var isInTrailers: Bool {
        switch state {
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed: true
        default: false
        }
    }

    private mutating func read(_ byte: UInt8, _ bodyByteCount: Int, _ limits: HTTPLimits) throws(HTTPRefusal) {
        switch state {
        case .size(let digits): try readSize(byte, digits, bodyByteCount, limits)
        case .extensionName, .extensionValue, .extensionQuoted, .extensionEscape, .extensionEnd: try readExtension(byte)
        case .sizeLineFeed:
            try expect(byte, RequestHeadParser.lf)
            state = remaining == 0 ? .trailerStart : .data
        case .dataCarriageReturn:
            try expect(byte, RequestHeadParser.cr)
            state = .dataLineFeed
        case .dataLineFeed:
            try expect(byte, RequestHeadParser.lf)
            state = .size(digits: 0)
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed: try readTrailer(byte)
        case .data, .complete: preconditionFailure("chunk data and bytes after the body are not framing")
        }
    }

    private mutating func readSize(_ byte: UInt8, _ digits: Int, _ bodyByteCount: Int, _ limits: HTTPLimits) throws(HTTPRefusal) {
        if let digit = ByteClass.hexDigit(byte) {
            guard digits < Self.maximumDigits else { throw .malformedChunk }
            remaining = remaining << 4 | Int(digit)
            state = .size(digits: digits + 1)
            return
        }
        guard digits > 0 else { throw .malformedChunk }
        guard bodyByteCount + remaining <= limits.maximumBodyBytes else { throw .payloadTooLarge }
        switch byte {
        case RequestHeadParser.cr: state = .sizeLineFeed
        case UInt8(ascii: ";"): state = .extensionName(isEmpty: true)
        default: throw .malformedChunk
        }
    }

    /// `;name`, `;name=value` or `;name="value"`, any number of times (RFC 9112 section 7.1.1), without white space.
    private mutating func readExtension(_ byte: UInt8) throws(HTTPRefusal) {
        switch state {
        case .extensionName(let isEmpty):
            if ByteClass.isToken(byte) {
                state = .extensionName(isEmpty: false)
            } else if !isEmpty, byte == UInt8(ascii: "=") {
                state = .extensionValue(isEmpty: true)
            } else if !isEmpty {
                try endExtension(byte)
            } else {
                throw .malformedChunk
            }
        case .extensionValue(let isEmpty):
            if ByteClass.isToken(byte) {
                state = .extensionValue(isEmpty: false)
            } else if isEmpty, byte == UInt8(ascii: "\"") {
                state = .extensionQuoted
            } else if !isEmpty {
                try endExtension(byte)
            } else {
                throw .malformedChunk
            }
        case .extensionQuoted:
            guard ByteClass.isValue(byte) else { throw .malformedChunk }
            if byte == UInt8(ascii: "\\") { state = .extensionEscape }
            if byte == UInt8(ascii: "\"") { state = .extensionEnd }
        case .extensionEscape:
            guard ByteClass.isValue(byte) else { throw .malformedChunk }
            state = .extensionQuoted
        default:
            try endExtension(byte)
        }
    }

    private mutating func endExtension(_ byte: UInt8) throws(HTTPRefusal) {
        switch byte {
        case RequestHeadParser.cr: state = .sizeLineFeed
        case UInt8(ascii: ";"): state = .extensionName(isEmpty: true)
        default: throw .malformedChunk
        }
    }

    private mutating func readTrailer(_ byte: UInt8) throws(HTTPRefusal) {
        switch state {
        case .trailerStart where byte == RequestHeadParser.cr:
            state = .lastLineFeed
        case .trailerStart where ByteClass.isToken(byte):
            state = .trailerName
        case .trailerName where ByteClass.isToken(byte):
            break
        case .trailerName where byte == UInt8(ascii: ":"):
            state = .trailerValue
        case .trailerValue where byte == RequestHeadParser.cr:
            state = .trailerLineFeed
        case .trailerValue where ByteClass.isValue(byte):
            break
        case .trailerLineFeed where byte == RequestHeadParser.lf:
            state = .trailerStart
        case .lastLineFeed where byte == RequestHeadParser.lf:
            state = .complete
        default:
            throw .malformedField
        }
    }

    private func expect(_ byte: UInt8, _ expected: UInt8) throws(HTTPRefusal) {
        guard byte == expected else { throw .malformedChunk }
    }
}
