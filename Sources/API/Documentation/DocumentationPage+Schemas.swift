import JSON

extension DocumentationPage {
    /// Appends the section of all objects.
    func writeSchemas(to html: inout HTML) {
        html.element("section", [("id", "schemas")]) { html in
            html.raw("<h2>Objects</h2><p>What bodies and answers are made of.</p>")
            for schema in document.root["components"]?["schemas"]?.asMembers ?? [] {
                html.element("article", [("id", SchemaText.anchor(schema.name))]) { html in
                    html.element("h3") { $0.add(schema.name) }
                    html.element("p") { $0.prose(schema.value["description"]?.asString ?? "") }
                    if schema.value["oneOf"] != nil {
                        html.element("p") { html in schemas.writeType(of: schema.value, to: &html) }
                    }
                    writeFields(of: schema.value, to: &html)
                    for example in schema.value["examples"]?.asArray ?? [] {
                        html.element("pre") { html in html.element("code") { $0.add(example.indented) } }
                    }
                }
            }
        }
        html.raw("\n")
    }

    /// Appends the members of an object.
    func writeFields(of schema: JSONValue, to html: inout HTML) {
        let required = schema["required"]?.asArray.compactMap(\.asString) ?? []
        guard let members = schema["properties"]?.asMembers, !members.isEmpty else { return }
        html.element("dl") { html in
            for member in members {
                writeField(
                    member.name, member.value, isRequired: required.contains(member.name), note: nil,
                    description: member.value["description"]?.asString, to: &html)
            }
        }
    }

    /// Appends one member or parameter: its name, its type, its limits and what it means.
    func writeField(
        _ name: String, _ schema: JSONValue, isRequired: Bool, note: String?, description: String?, to html: inout HTML
    ) {
        html.element("dt") { html in
            html.element("code") { $0.add(name) }
            html.raw(" ")
            html.element("span", [("class", "type")]) { html in schemas.writeType(of: schema, to: &html) }
            if let note { html.element("span", [("class", "note")]) { $0.add(note) } }
            if isRequired { html.element("span", [("class", "required")]) { $0.raw("required") } }
        }
        html.element("dd") { html in
            html.prose(description ?? document.resolved(schema)["description"]?.asString ?? "")
            let limits = schemas.limits(of: schema)
            if !limits.isEmpty { html.element("span", [("class", "limits")]) { $0.prose(limits.joined(separator: "; ")) } }
            // An object that has no name is described where it is used.
            if schema["properties"] != nil { writeFields(of: schema, to: &html) }
        }
    }

    /// Appends the table of all codes that a refusal can have.
    func writeRefusals(to html: inout HTML) {
        html.element("section", [("id", "refusals")]) { html in
            html.raw("<h2>Refusals</h2><p>Every refusal is a ")
            html.link(to: SchemaText.anchor("Problem")) { $0.raw("Problem") }
            html.raw(" with one of these codes. Decide by the code; its status and its meaning do not change.</p>")
            html.element("table") { html in
                html.raw("<thead><tr><th>Code<th>Status<th>Title</tr></thead>")
                html.element("tbody") { html in
                    for code in ProblemCode.allCases.sorted(by: { ($0.status, $0.rawValue) < ($1.status, $1.rawValue) }) {
                        html.element("tr", [("id", "code-" + code.rawValue)]) { html in
                            html.element("td") { html in html.element("code") { $0.add(code.rawValue) } }
                            html.element("td") { $0.add(String(code.status)) }
                            html.element("td") { $0.add(code.title) }
                        }
                    }
                }
            }
        }
    }
}
