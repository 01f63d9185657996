/// How a reader of HTTP understood the bytes of one connection, in the same form for the server's reader and for the oracle.
package struct Verdict: Equatable, Sendable, CustomStringConvertible {
    /// One complete request.
    package struct Request: Equatable, Sendable, CustomStringConvertible {
        package var method: String
        /// The target as sent.
        package var target: String
        package var path: String
        package var query: String?
        package var minorVersion: Int
        /// The fields in the order sent, with names as sent and values without white space at either end.
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

    /// What followed the last complete request.
    package enum End: Equatable, Sendable {
        /// The bytes ended where another request could begin.
        case atRequest
        /// The last request ended the connection.
        case afterLastRequest
        /// A malformed request, or bytes that ended inside one; with the status of the refusal where there is one.
        case refused(status: Int?)
    }

    package var requests: [Request] = []
    package var end = End.atRequest

    package var description: String { "\(requests) \(end)" }

    /// Whether this agrees with the verdict on the same bytes in other pieces. Where there are too many bytes for a head, the two may
    /// refuse for different reasons: for the size, or for a fault in the part that was read.
    package func isSame(as other: Verdict, byteCount: Int) -> Bool {
        guard byteCount > 16_384, case .refused = end, case .refused = other.end else { return self == other }
        return requests == other.requests
    }
}
