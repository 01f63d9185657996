import HTTPServer
import NIOCore

extension HTTPRequest {
    /// A request from its parts, which become one only where they are valid. What no target can hold is percent-encoded.
    init(
        method: HTTPMethod, path: String, query: String? = nil, headers: [String: String] = [:], body: ByteBuffer = ByteBuffer(),
        eventLoop: any EventLoop
    ) {
        let target = (path + (query.map { "?" + $0 } ?? "")).utf8.map { byte in
            byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#")
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
        let fields = headers.map { (name: $0.key, value: $0.value) }
        guard let request = HTTPRequest(method: method.rawValue, target: target, fields: fields, body: body, eventLoop: eventLoop) else {
            preconditionFailure("no request: \(method) \(target)")
        }
        self = request
    }
}
