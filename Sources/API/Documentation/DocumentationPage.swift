import Crypto
import Foundation
import JSON
import NIOCore

/// The API document as one HTML page, which needs no script and no other file.
struct DocumentationPage {
    let document: APIDocument
    let schemas: SchemaText
    /// The codes with which every operation can refuse a request.
    let commonCodes: Set<String>

    init(of document: APIDocument) {
        self.document = document
        schemas = SchemaText(document: document)
        let codes = document.operations.map { operation in
            Set((operation.value["responses"]?.asMembers ?? []).flatMap { Self.codes(of: document.resolved($0.value)) })
        }
        commonCodes = codes.dropFirst().reduce(codes.first ?? []) { $0.intersection($1) }
    }

    /// What browsers may do with the page: nothing but show it in its own style.
    var headers: [(name: String, value: String)] {
        let style = Data(SHA256.hash(data: PackageResources.docs_css)).base64EncodedString()
        return [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'sha256-\(style)'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
        ]
    }

    var html: ByteBuffer {
        let info = document.root["info"] ?? .null
        var html = HTML()
        html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
        html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
        html.raw("<meta name=\"color-scheme\" content=\"light dark\">")
        html.element("title") { $0.add(title(info)) }
        html.raw("<style>")
        html.verbatim(PackageResources.docs_css)
        html.raw("</style></head><body>\n<header>")
        html.element("h1") { html in
            html.add(info["title"]?.asString ?? "")
            html.element("small") { $0.add(info["version"]?.asString ?? "") }
        }
        html.element("p") { $0.prose(info["summary"]?.asString ?? "") }
        html.raw("</header>\n")
        writeContents(to: &html)
        html.raw("<main>\n")
        writeIntroduction(info, to: &html)
        for tag in tags { writeGroup(tag, to: &html) }
        writeSchemas(to: &html)
        writeRefusals(to: &html)
        html.raw("</main></body></html>\n")
        return ByteBuffer(string: html.text)
    }

    private func title(_ info: JSONValue) -> String { (info["title"]?.asString ?? "") + " API" }

    private var tags: [(name: String, description: String)] {
        (document.root["tags"]?.asArray ?? []).map { ($0["name"]?.asString ?? "", $0["description"]?.asString ?? "") }
    }

    private func writeContents(to html: inout HTML) {
        // On a narrow screen the box shows and hides the list; on a wide one the list is always there.
        html.raw("<nav aria-label=\"Contents\"><input type=\"checkbox\" id=\"menu\"><label for=\"menu\">Contents</label>")
        html.element("ul") { html in
            html.element("li") { $0.link(to: "start") { $0.raw("Start here") } }
            for tag in tags {
                html.element("li") { html in
                    html.link(to: "group-" + tag.name) { $0.add(tag.name) }
                    html.element("ul") { html in
                        for operation in document.operations(tagged: tag.name) {
                            html.element("li") { html in
                                html.link(to: operation.id) { html in
                                    writeMethod(operation.method, to: &html)
                                    html.raw(" ")
                                    writePath(operation.path, to: &html)
                                }
                            }
                        }
                    }
                }
            }
            html.element("li") { $0.link(to: "schemas") { $0.raw("Objects") } }
            html.element("li") { $0.link(to: "refusals") { $0.raw("Refusals") } }
        }
        html.raw("</nav>\n")
    }

    private func writeIntroduction(_ info: JSONValue, to html: inout HTML) {
        html.element("section", [("id", "start")]) { html in
            html.raw("<h2>Start here</h2>")
            for paragraph in (info["description"]?.asString ?? "").split(separator: "\n\n") {
                html.element("p") { $0.prose(String(paragraph)) }
            }
            for scheme in document.root["components"]?["securitySchemes"]?.asMembers ?? [] {
                html.element("p") { html in
                    html.raw("Requests carry a token: <code>Authorization: Bearer TOKEN</code>. ")
                    html.prose(scheme.value["description"]?.asString ?? "")
                }
            }
            html.raw("<p>For programs the same contract is <a href=\"/openapi.json\">openapi.json</a> (OpenAPI ")
            html.add(document.root["openapi"]?.asString ?? "")
            html.raw(").</p>")
        }
    }

    private func writeGroup(_ tag: (name: String, description: String), to html: inout HTML) {
        html.element("section", [("id", "group-" + tag.name)]) { html in
            html.element("h2") { $0.add(tag.name) }
            html.element("p") { $0.prose(tag.description) }
            for operation in document.operations(tagged: tag.name) { write(operation, to: &html) }
        }
        html.raw("\n")
    }

    func writeMethod(_ method: String, to html: inout HTML) {
        html.element("span", [("class", "method \(method.lowercased())")]) { $0.add(method) }
    }

    /// A path with places where a long one may be broken.
    func writePath(_ path: String, to html: inout HTML) {
        html.element("code") { html in
            for part in path.split(separator: "/") {
                html.raw("<wbr>/")
                html.add(part)
            }
        }
    }
}
