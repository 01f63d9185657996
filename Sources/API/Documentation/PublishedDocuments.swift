import Commerce
import HTTPServer
import Synchronization

/// The API document, the page that shows it, and the console, as they are served. Made at the first request for one of them, off the event loops,
/// because that takes milliseconds. A mutex guards what was made.
final class PublishedDocuments: Sendable {
    struct Rendered: Sendable {
        let contract: EncodedDocument
        let page: EncodedDocument
        let console: ConsoleFiles
    }

    private let chargeAmounts: ClosedRange<Won>
    private let rendered = Mutex<Rendered?>(nil)

    /// - Parameter chargeAmounts: the operator's bounds of a charge, which the document names.
    init(chargeAmounts: ClosedRange<Won>) { self.chargeAmounts = chargeAmounts }

    /// Answers a request for one of the documents.
    func answer(to request: HTTPRequest, with document: @escaping @Sendable (Rendered) -> EncodedDocument) -> HTTPAnswer {
        if let rendered = rendered.withLock({ $0 }) { return .now(document(rendered).response(to: request)) }
        return .task { document(try await self.render()).response(to: request) }
    }

    /// Requests that come while the documents are made make them too, which gives the same bytes; the first ones are kept.
    private func render() async throws -> Rendered {
        let chargeAmounts = chargeAmounts
        let made = try await Task(executorPreference: globalConcurrentExecutor) {
            let document = try APIDocument(chargeAmounts: chargeAmounts)
            let page = DocumentationPage(of: document)
            return Rendered(
                contract: EncodedDocument(document.json, contentType: "application/json"),
                page: EncodedDocument(page.html, contentType: "text/html; charset=utf-8", headers: page.headers),
                console: ConsoleFiles())
        }.value
        return rendered.withLock { rendered in
            if let rendered { return rendered }
            rendered = made
            return made
        }
    }
}
