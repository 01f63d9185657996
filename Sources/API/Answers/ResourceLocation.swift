import NIOCore

/// The path of a created resource, such as `/api/v1/orders/17`, read from the answer that reports its creation.
///
/// The first number of every such answer is the resource's own id, because a resource's JSON begins with it.
struct ResourceLocation: Sendable, ExpressibleByStringLiteral {
    /// The path before the id, with the slash.
    let prefix: String

    init(stringLiteral prefix: String) {
        self.prefix = prefix
    }

    /// `nil` for a body without a number.
    func path(in body: ByteBuffer) -> String? {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        let bytes = body.readableBytesView
        guard let start = bytes.firstIndex(where: digits.contains) else { return nil }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.endIndex
        return prefix + String(decoding: bytes[start..<end], as: UTF8.self)
    }
}
