import NIOCore

/// The fields that a policy adds to answers, rendered once. Each event loop has its own, so that loops do not contend for the same
/// reference counts.
final class CrossOriginFields: Sendable {
    private struct Entry {
        let origin: [UInt8]
        let fields: ByteBuffer
    }

    private let entries: [Entry]
    /// For requests without an allowed origin.
    private let others: ByteBuffer

    init(_ policy: CrossOriginPolicy) {
        let exposed =
            policy.exposedFields.isEmpty ? "" : "access-control-expose-headers: \(policy.exposedFields.joined(separator: ", "))\r\n"
        switch policy.origins {
        case .any:
            entries = []
            others = ByteBuffer(string: "access-control-allow-origin: *\r\n\(exposed)")
        case .listed(let origins):
            // A cache must not give one origin the answer to another, nor to a page the answer to a request without an origin.
            others = ByteBuffer(string: "vary: origin\r\n")
            entries = origins.map { origin in
                Entry(
                    origin: Array(origin.utf8),
                    fields: ByteBuffer(string: "access-control-allow-origin: \(origin)\r\n\(exposed)vary: origin\r\n"))
            }
        }
    }

    /// The fields of the answer to a request.
    func fields(for request: HTTPRequest) -> ByteBuffer {
        request.withOrigin(fields)
    }

    /// The fields of the answer to a head that was refused, and of which these bytes were read.
    func fields(forRefused head: ByteBuffer?, limits: HTTPLimits) -> ByteBuffer {
        guard let head else { return others }
        return head.withUnsafeReadableBytes { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(limits.maximumHeaderBytes))
            return fields(FieldLines(ofHead: bytes).onlyValue(of: "origin"))
        }
    }

    private func fields(_ origin: UnsafeRawBufferPointer?) -> ByteBuffer {
        guard let origin, let address = origin.baseAddress else { return others }
        for entry in entries where entry.origin.count == origin.count {
            if entry.origin.withUnsafeBytes({ $0.begins(with: address, origin.count) }) { return entry.fields }
        }
        return others
    }
}
