import HTTPServer
import NIOCore

/// A document that is the same for everybody until the service starts again: its plain and its compressed representation, each rendered
/// once with an entity tag of its own.
struct EncodedDocument: Sendable {
    private let plain: Representation
    /// Nil where zlib has no memory; then the plain bytes are sent to everybody.
    private let compressed: Representation?

    /// One representation, and the answer to a client that has it already.
    private struct Representation: Sendable {
        let tag: EntityTag
        let response: HTTPResponse
        let notModified: HTTPResponse
    }

    /// - Parameters:
    ///   - headers: the fields of the document besides those about its encoding and its entity tag.
    init(_ body: ByteBuffer, contentType: String, headers: [(name: String, value: String)] = []) {
        func representation(_ body: ByteBuffer, _ coding: [(name: String, value: String)]) -> Representation {
            let tag = EntityTag(of: body)
            // `no-cache` lets caches store the document, and has them ask for each use whether it is still this one.
            let shared = [(name: "etag", value: tag.text), ("vary", "accept-encoding"), ("cache-control", "no-cache")]
            return Representation(
                tag: tag,
                response: HTTPResponse(status: 200, headers: shared + coding + headers, contentType: contentType, body: body),
                notModified: HTTPResponse(status: 304, headers: shared))
        }
        plain = representation(body, [])
        compressed = Gzip.compressed(body).map { representation($0, [("content-encoding", "gzip")]) }
    }

    /// The representation that suits the request's `Accept-Encoding`, or 304 where its `If-None-Match` has that one.
    func response(to request: HTTPRequest) -> HTTPResponse {
        let fields = request.values(of: "accept-encoding")
        let coding = ContentCoding(acceptedBy: fields.isEmpty ? nil : fields.joined(separator: ","))
        let representation =
            switch coding {
            case .identity: plain
            case .gzip: compressed ?? plain
            }
        guard let field = request.value(of: .ifNoneMatch), let condition = EntityTagCondition(field),
            condition.matchesWeakly(representation.tag)
        else { return representation.response }
        return representation.notModified
    }
}
