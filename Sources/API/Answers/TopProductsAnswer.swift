import HTTPServer
import JSON
import Services

/// The rendered top list, rendered again when its version changes. It belongs to one event loop, like the ``LoopResources`` that holds it.
struct TopProductsAnswer {
    private var rendered: (version: UInt64, response: HTTPResponse)?

    mutating func response(for top: TopProducts) -> HTTPResponse {
        if let rendered, rendered.version == top.version { return rendered.response }
        let response = HTTPResponse.object(.open) { $0.write(top) }
        rendered = (top.version, response)
        return response
    }
}
