import HTTPServer
import NIOCore

/// The page by which operators watch and steer the service, and its parts. They hold no data, so everybody may read them.
struct ConsoleFiles: Sendable {
    let page: EncodedDocument
    let style: EncodedDocument
    let script: EncodedDocument
    let icon: EncodedDocument

    /// The page may load its own parts, call its own service, and nothing else.
    private static let headers: [(name: String, value: String)] = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
                + "form-action 'none'; frame-ancestors 'none'"
        ),
        ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
    ]

    init() {
        func file(_ bytes: [UInt8], _ contentType: String) -> EncodedDocument {
            EncodedDocument(ByteBuffer(bytes: bytes), contentType: contentType, headers: Self.headers)
        }
        page = file(PackageResources.console_html, "text/html; charset=utf-8")
        style = file(PackageResources.console_css, "text/css; charset=utf-8")
        script = file(PackageResources.console_js, "text/javascript; charset=utf-8")
        icon = file(PackageResources.icon_svg, "image/svg+xml")
    }
}
