/// What a reader of HTTP made of the bytes of one connection: the same form for the server's reader and for the one it is held against.
package struct Verdict: Equatable, Sendable, CustomStringConvertible {
    /// One complete request.
    package struct Request: Equatable, Sendable, CustomStringConvertible {
        package var method: String
        /// As sent.
        package var target: String
        package var path: String
        package var query: String?
        package var minorVersion: Int
        /// In the order sent, names as sent, values without white space at either end.
        package var fields: [Field]
        package var body: [UInt8]
        /// Whether another request may follow.
        package var staysOpen: Bool

        package struct Field: Equatable, Sendable {
            package let name: String
            package let value: String
        }

        package var description: String {
            "\(method) \(target) 1.\(minorVersion) \(fields.map { "\($0.name): \($0.value)" }) \(String(decoding: body, as: UTF8.self).debugDescription)"
                + (staysOpen ? "" : " (last)")
        }

        /// The values of all fields of this lowercase name.
        func values(_ name: String) -> [String] { fields.filter { $0.name.lowercased() == name }.map(\.value) }
    }

    /// How it went on after the last complete request.
    package enum End: Equatable, Sendable {
        /// The bytes ended where a request could have begun.
        case atRequest
        /// The last request said that none follows.
        case afterLastRequest
        /// Something was no acceptable request, or the bytes ended inside one; with the status where there is one.
        case refused(status: Int?)
    }

    package var requests: [Request] = []
    package var end = End.atRequest

    package var description: String { "\(requests) \(end)" }

    /// Whether this is the verdict about the same bytes in other pieces. Where they are too many for a head, what is said of them may
    /// be that, or what else is wrong with the part that was read.
    package func isSame(as other: Verdict, byteCount: Int) -> Bool {
        guard byteCount > 16_384, case .refused = end, case .refused = other.end else { return self == other }
        return requests == other.requests
    }
}
