import Commerce
import HTTPServer
import JSON
import NIOCore

/// Whether caches may store an answer.
enum Privacy: Sendable {
    /// Public data: sent without `Cache-Control`.
    case open
    /// Data of one person or for operators: sent with `Cache-Control: no-store`.
    case personal
}

extension HTTPResponse {
    /// A 200 with one JSON object.
    static func object(_ privacy: Privacy, _ write: (inout JSONWriter) -> Void) -> HTTPResponse {
        success(JSONWriter.document(write), privacy)
    }

    /// A 200 with one page of a list.
    static func page<Item>(_ page: Page<Item>, _ privacy: Privacy, _ write: (inout JSONWriter, Item) -> Void) -> HTTPResponse {
        success(JSONWriter.page(page, write), privacy)
    }

    private static func success(_ body: ByteBuffer, _ privacy: Privacy) -> HTTPResponse {
        switch privacy {
        case .open: .json(body)
        case .personal: .json(body, headers: [("cache-control", "no-store")])
        }
    }
}
