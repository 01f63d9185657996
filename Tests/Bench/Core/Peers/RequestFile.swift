import Foundation

/// One request, which renders to the bytes that are sent.
struct RequestText {
    let method: String
    let path: String
    var token: Substring?
    var body: String?
    /// The `Idempotency-Key`.
    var key: String?

    var text: String {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        if let token { text += "Authorization: Bearer \(token)\r\n" }
        if let key { text += "Idempotency-Key: \(key)\r\n" }
        if let body { text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        return text + "\r\n" + (body ?? "")
    }
}

/// Requests that wrk sends in this order.
struct RequestFile: Sendable {
    let path: String
    let count: Int

    /// - Parameter requests: at least one.
    init(_ requests: some Sequence<RequestText>, in folder: String) throws {
        path = folder + "/requests-\(UInt32.random(in: 0 ... .max))"
        var bytes = Data()
        var count = 0
        for request in requests {
            let text = request.text
            bytes.append(contentsOf: "\(text.utf8.count)\n".utf8)
            bytes.append(contentsOf: text.utf8)
            count += 1
        }
        self.count = count
        try bytes.write(to: URL(fileURLWithPath: path))
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
