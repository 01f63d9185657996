import NIOCore

/// Marker (1), decimal number (up to 20 characters) and CR LF, rounded up.
private let maximumHeaderBytes = 24

private let dollar = UInt8(ascii: "$")
private let star = UInt8(ascii: "*")
private let carriageReturnLineFeed = UInt16(bigEndian: 0x0D0A)

extension ByteBuffer {
    /// Writes `*count\r\n`, which opens a command of `count` words.
    mutating func writeRedisArrayHeader(_ count: Int) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: maximumHeaderBytes) { target in
            target.storeRedisHeader(star, count, at: 0)
        }
    }

    /// Writes `$length\r\nword\r\n`.
    mutating func writeRedisArgument(_ argument: RedisArgument) {
        switch argument {
        case .string(let text): writeRedisText(text)
        case .integer(let number): writeRedisInteger(number)
        case .bytes(let bytes):
            writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.readableBytes + 2 * maximumHeaderBytes) { target in
                bytes.withUnsafeReadableBytes { target.storeRedisWord($0) }
            }
        }
    }

    private mutating func writeRedisText(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            _ = writeWithUnsafeMutableBytes(minimumWritableBytes: utf8.count + 2 * maximumHeaderBytes) { target in
                target.storeRedisWord(UnsafeRawBufferPointer(utf8))
            }
        }
    }

    private mutating func writeRedisInteger(_ number: Int64) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 3 * maximumHeaderBytes) { target in
            let length = number.magnitude.decimalDigitCount + (number < 0 ? 1 : 0)
            var offset = target.storeRedisHeader(dollar, length, at: 0)
            if number < 0 {
                target[offset] = UInt8(ascii: "-")
                offset += 1
            }
            offset = target.storeDecimal(number.magnitude, at: offset)
            return target.storeLineEnd(at: offset)
        }
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores `$length\r\nword\r\n` and returns the number of bytes stored.
    fileprivate func storeRedisWord(_ word: UnsafeRawBufferPointer) -> Int {
        let start = storeRedisHeader(dollar, word.count, at: 0)
        if !word.isEmpty { UnsafeMutableRawBufferPointer(rebasing: self[start...]).copyMemory(from: word) }
        return storeLineEnd(at: start + word.count)
    }

    /// Stores the marker, the decimal count and the line's end, and returns the offset after them.
    @discardableResult
    fileprivate func storeRedisHeader(_ marker: UInt8, _ count: Int, at offset: Int) -> Int {
        self[offset] = marker
        return storeLineEnd(at: storeDecimal(UInt64(count), at: offset + 1))
    }

    fileprivate func storeDecimal(_ number: UInt64, at offset: Int) -> Int {
        let end = offset + number.decimalDigitCount
        var rest = number
        var position = end
        repeat {
            position -= 1
            self[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        return end
    }

    fileprivate func storeLineEnd(at offset: Int) -> Int {
        storeBytes(of: carriageReturnLineFeed, toByteOffset: offset, as: UInt16.self)
        return offset + 2
    }
}

extension UInt64 {
    fileprivate var decimalDigitCount: Int {
        var count = 1
        var rest = self
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        return count
    }
}
