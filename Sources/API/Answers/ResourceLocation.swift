import NIOCore

/// The path of a created resource, such as `/api/v1/orders/17`, read from the answer that reports its creation.
///
/// The first number of every such answer is the resource's own id, because a resource's JSON begins with it.
struct ResourceLocation: Sendable, ExpressibleByStringLiteral {
    /// The path before the id, with the slash.
    let prefix: String
    /// For a resource inside another one: the path between the id of the outer one, which is the answer's second number, and its own.
    let collection: String?

    init(stringLiteral prefix: String) { self.init(prefix: prefix) }

    init(prefix: String, collection: String? = nil) { (self.prefix, self.collection) = (prefix, collection) }

    /// `nil` for a body without a number.
    func path(in body: ByteBuffer) -> String? {
        var rest = body.readableBytesView[...]
        guard let id = Self.number(in: &rest) else { return nil }
        guard let collection else { return prefix + id }
        return Self.number(in: &rest).map { prefix + $0 + collection + id }
    }

    /// Takes the first number out of the bytes, with what is before it.
    private static func number(in bytes: inout ByteBufferView) -> String? {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let start = bytes.firstIndex(where: digits.contains) else { return nil }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.endIndex
        defer { bytes = bytes[end...] }
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }
}
