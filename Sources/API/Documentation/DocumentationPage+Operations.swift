import JSON

extension DocumentationPage {
    /// Appends everything about one operation.
    func write(_ operation: APIDocument.Operation, to html: inout HTML) {
        html.element("article", [("id", operation.id)]) { html in
            html.element("h3") { html in
                writeMethod(operation.method, to: &html)
                html.raw(" ")
                writePath(operation.path, to: &html)
            }
            html.element("p") { html in
                html.prose(operation.value["summary"]?.asString ?? "")
                html.raw(". ")
                html.element("span", [("class", "who")]) { $0.add(who(operation)) }
            }
            writeParameters(of: operation, to: &html)
            writeBody(of: operation, to: &html)
            writeExample(of: operation, to: &html)
            writeAnswers(of: operation, to: &html)
        }
        html.raw("\n")
    }

    /// Who may use an operation, in words.
    private func who(_ operation: APIDocument.Operation) -> String {
        switch operation.value["x-who"]?.asString {
        case "all": "For everybody, without a token."
        case "user": "For users, each for themselves."
        case "admin": "For admins."
        case "self or admin": "For the user whom the path names, and for admins."
        case "owner or admin": "For the user who owns it, and for admins."
        case let other?: "For \(other)."
        case nil: ""
        }
    }

    private func parameters(of operation: APIDocument.Operation) -> [JSONValue] {
        (operation.value["parameters"]?.asArray ?? []).map(document.resolved)
    }

    private func writeParameters(of operation: APIDocument.Operation, to html: inout HTML) {
        let parameters = parameters(of: operation)
        guard !parameters.isEmpty else { return }
        html.raw("<h4>Parameters</h4>")
        html.element("dl") { html in
            for parameter in parameters {
                writeField(
                    parameter["name"]?.asString ?? "", parameter["schema"] ?? .null, isRequired: parameter["required"] == .bool(true),
                    note: parameter["in"]?.asString, description: parameter["description"]?.asString, to: &html)
            }
        }
    }

    private func bodySchema(of operation: APIDocument.Operation) -> JSONValue? {
        operation.value["requestBody"]?["content"]?["application/json"]?["schema"]
    }

    private func writeBody(of operation: APIDocument.Operation, to html: inout HTML) {
        guard let schema = bodySchema(of: operation) else { return }
        let isRequired = operation.value["requestBody"]?["required"] == .bool(true)
        html.element("h4") { html in
            html.raw("Body: ")
            schemas.writeType(of: schema, to: &html)
            if !isRequired { html.element("small") { $0.raw("optional") } }
        }
        writeFields(of: document.resolved(schema), to: &html)
    }

    /// A request that can be pasted into a shell once `TOKEN` is set.
    private func writeExample(of operation: APIDocument.Operation, to html: inout HTML) {
        var path = operation.path
        for parameter in parameters(of: operation) where parameter["in"] == .string("path") {
            path = path.replacing("{\(parameter["name"]?.asString ?? "")}", with: "1")
        }
        let origin = "http://127.0.0.1:8080"
        var lines = ["curl " + (operation.method == "GET" ? "" : "-X \(operation.method) ") + origin + path]
        if operation.value["security"] == nil { lines.append("-H \"Authorization: Bearer $TOKEN\"") }
        if let schema = bodySchema(of: operation), let body = document.resolved(schema)["examples"]?.asArray.first {
            lines.append("-H 'Content-Type: application/json'")
            lines.append("-d '\(body.indented)'")
        }
        html.raw("<h4>Example</h4>")
        html.element("pre") { html in html.element("code") { $0.add(lines.joined(separator: " \\\n  ")) } }
    }

    private func writeAnswers(of operation: APIDocument.Operation, to html: inout HTML) {
        let answers = (operation.value["responses"]?.asMembers ?? []).map { (status: $0.name, value: document.resolved($0.value)) }
        html.raw("<h4>Answers</h4>")
        for answer in answers where answer.status < "4" { writeSuccess(answer.status, answer.value, to: &html) }
        let refusals = answers.filter { $0.status >= "4" }.map { (status: $0.status, codes: Self.codes(of: $0.value)) }
        let own = refusals.map { ($0.status, $0.codes.filter { !commonCodes.contains($0) }) }.filter { !$0.1.isEmpty }
        if !own.isEmpty { writeTable(of: own, to: &html) }
        html.element("details") { html in
            html.raw("<summary>Refusals that every operation has</summary>")
            writeTable(of: refusals.map { ($0.status, $0.codes.filter(commonCodes.contains)) }.filter { !$0.1.isEmpty }, to: &html)
        }
    }

    private func writeTable(of refusals: [(status: String, codes: [String])], to html: inout HTML) {
        html.element("table") { html in
            html.raw("<tbody>")
            for refusal in refusals {
                html.raw("<tr>")
                html.element("th", [("scope", "row")]) { $0.add(refusal.status) }
                html.element("td") { html in
                    for (index, code) in refusal.codes.enumerated() {
                        if index > 0 { html.raw(", ") }
                        html.link(to: "code-" + code) { html in html.element("code") { $0.add(code) } }
                    }
                }
                html.raw("</tr>")
            }
            html.raw("</tbody>")
        }
    }

    private func writeSuccess(_ status: String, _ answer: JSONValue, to html: inout HTML) {
        html.element("p") { html in
            html.element("strong") { $0.add(status) }
            html.raw(" ")
            html.prose(answer["description"]?.asString ?? "")
            for content in answer["content"]?.asMembers ?? [] {
                html.raw(" ")
                html.element("code") { $0.add(content.name) }
                if content.name == "application/json", let schema = content.value["schema"] {
                    html.raw(": ")
                    schemas.writeType(of: schema, to: &html)
                }
            }
            let headers = (answer["headers"]?.asMembers ?? []).map(\.name)
            if !headers.isEmpty {
                html.raw("<br>With ")
                for (index, header) in headers.enumerated() {
                    if index > 0 { html.raw(", ") }
                    html.element("code") { $0.add(header) }
                }
            }
        }
        writeLinks(of: answer, to: &html)
        if let schema = answer["content"]?["application/json"]?["schema"],
            let example = document.resolved(schema)["examples"]?.asArray.first
        {
            html.element("pre") { html in html.element("code") { $0.add(example.indented) } }
        }
    }

    /// The operations that continue with what this answer says.
    private func writeLinks(of answer: JSONValue, to html: inout HTML) {
        var targets: [String] = []
        for link in answer["links"]?.asMembers ?? [] {
            guard let target = link.value["operationId"]?.asString, !targets.contains(target) else { continue }
            targets.append(target)
        }
        guard !targets.isEmpty else { return }
        html.element("p", [("class", "next")]) { html in
            html.raw("Continue: ")
            for (index, target) in targets.enumerated() {
                if index > 0 { html.raw(" · ") }
                html.link(to: target) { $0.add(summary(ofOperation: target)) }
            }
        }
    }

    /// The first words of a summary, up to the first comma or semicolon.
    private func summary(ofOperation id: String) -> String {
        let summary = document.operations.first { $0.id == id }?.value["summary"]?.asString ?? id
        return String(summary.prefix { $0 != "," && $0 != ";" })
    }

    /// The codes that a refusal's schema names.
    static func codes(of refusal: JSONValue) -> [String] {
        (refusal["content"]?["application/problem+json"]?["schema"]?["properties"]?["code"]?["enum"]?.asArray ?? []).compactMap(\.asString)
    }
}
