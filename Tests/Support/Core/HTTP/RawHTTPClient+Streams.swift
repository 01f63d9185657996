/// Reads answers whose bodies have no length.
extension RawHTTPClient {
    /// Reads the head of an answer, and leaves its body.
    package func readHead() throws -> RawHTTPResponse {
        while endOfHead == nil {
            guard try fill() else { throw Failure.closedByServer }
        }
        guard let end = endOfHead else { throw Failure.closedByServer }
        let response = try RawHTTPResponse(head: String(decoding: received[..<end], as: UTF8.self))
        received.removeFirst(end + 4)
        return response
    }

    /// Reads one chunk; empty for the last one, with the empty line after it. Throws where the connection ends before.
    package func readChunk() throws -> [UInt8] {
        guard let size = Int(try readLine(), radix: 16) else { throw Failure.malformed("no size of a chunk") }
        while received.count < size + 2 {
            guard try fill() else { throw Failure.closedByServer }
        }
        let chunk = Array(received[..<size])
        guard received[size] == 13, received[size + 1] == 10 else { throw Failure.malformed("a chunk without its end") }
        received.removeFirst(size + 2)
        return chunk
    }

    /// Reads chunks until the last one.
    package func readChunks() throws -> [UInt8] {
        var body: [UInt8] = []
        while case let chunk = try readChunk(), !chunk.isEmpty { body += chunk }
        return body
    }

    private func readLine() throws -> String {
        while true {
            if let end = received.firstIndex(of: 10) {
                let line = String(decoding: received[..<end], as: UTF8.self)
                received.removeFirst(end + 1)
                guard line.hasSuffix("\r") || line.hasSuffix("\r\n") else { throw Failure.malformed(line) }
                return String(line.dropLast())
            }
            guard try fill() else { throw Failure.closedByServer }
        }
    }
}
