package import NIOHTTP1

/// Finds the route of a request in a fixed table of methods and path templates such as `/users/{userId}/balance`.
///
/// Built once; a match walks the path's UTF-8 bytes through a tree of segments and allocates nothing but the path's copy in the
/// parameters. A literal segment is preferred to a parameter. Empty segments, a trailing slash and dot segments match nothing.
///
/// Not generic over what a route is: whoever owns the table looks the route up by its place there, and every request runs
/// compiled-out code instead of generic code.
package struct Router: Sendable {
    /// What a method and path lead to.
    package enum Match: Sendable {
        /// The route at this place of the table, with what its parameters stand for.
        case found(Int, RouteParameters)
        /// The path exists, but not with this method; the methods it has, as `Allow` lists them.
        case methodNotAllowed([HTTPMethod])
        /// No template has this path.
        case notFound
        /// A percent escape of the path is malformed or does not decode to UTF-8.
        case malformedPath
    }

    private let root: Node

    /// Builds the tree. Two routes of one method and path, and templates that do not begin with a slash, are programmer errors.
    package init(routes: [(method: HTTPMethod, template: String)]) {
        let templates = routes.enumerated().map { place, route in
            precondition(route.template.hasPrefix("/"), "a template begins with a slash: \(route.template)")
            let segments = route.template.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            return Node.Template(rest: segments[...], names: [], method: route.method, place: place)
        }
        root = Node(templates)
    }

    /// Looks up a method and a percent-encoded path without its query. HEAD is answered by the route of GET where it has none of its own.
    package func match(method: HTTPMethod, path: String) -> Match {
        var path = path
        var parameters = ParameterRanges()
        let found = path.withUTF8 { bytes -> Node? in
            guard bytes.first == UInt8(ascii: "/") else { return nil }
            return root.find(bytes, from: 1, &parameters)
        }
        guard let found else { return .notFound }
        guard let entry = found.entry(for: method) else { return .methodNotAllowed(found.allowedMethods) }
        guard let values = RouteParameters(names: entry.names, path: path, ranges: parameters) else { return .malformedPath }
        return .found(entry.place, values)
    }
}

/// One segment of the tree: its children, and the routes of the templates that end here. A class, so that walking copies nothing.
private final class Node: Sendable {
    struct Template {
        var rest: ArraySlice<String>
        var names: [String]
        let method: HTTPMethod
        let place: Int
    }

    struct Entry: Sendable {
        let method: HTTPMethod
        let place: Int
        let names: [String]
    }

    private let literals: [(bytes: [UInt8], node: Node)]
    private let parameterChild: Node?
    private let routes: [Entry]

    init(_ templates: [Template]) {
        var literals: [(segment: String, templates: [Template])] = []
        var parameters: [Template] = []
        var routes: [Entry] = []
        for var template in templates {
            guard let segment = template.rest.popFirst() else {
                precondition(!routes.contains { $0.method == template.method }, "routed twice: \(template.method)")
                precondition(template.names.count <= RouteParameters.maximumCount, "too many parameters: \(template.names)")
                routes.append(Entry(method: template.method, place: template.place, names: template.names))
                continue
            }
            if segment.hasPrefix("{"), segment.hasSuffix("}") {
                template.names.append(String(segment.dropFirst().dropLast()))
                parameters.append(template)
            } else if let index = literals.firstIndex(where: { $0.segment == segment }) {
                literals[index].templates.append(template)
            } else {
                literals.append((segment, [template]))
            }
        }
        self.literals = literals.map { (Array($0.segment.utf8), Node($0.templates)) }
        parameterChild = parameters.isEmpty ? nil : Node(parameters)
        self.routes = routes
    }

    /// The node at which the path ends, trying literals first and coming back to a parameter where they lead nowhere.
    func find(_ path: UnsafeBufferPointer<UInt8>, from start: Int, _ parameters: inout ParameterRanges) -> Node? {
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        let segment = UnsafeBufferPointer(rebasing: path[start..<end])
        let isLast = end == path.count
        if let literal = literalChild(segment) {
            if isLast {
                if !literal.routes.isEmpty { return literal }
            } else if let found = literal.find(path, from: end + 1, &parameters) {
                return found
            }
        }
        guard let child = parameterChild, !segment.isEmpty, !segment.isDotSegment else { return nil }
        parameters.append(start..<end)
        if isLast {
            if !child.routes.isEmpty { return child }
        } else if let found = child.find(path, from: end + 1, &parameters) {
            return found
        }
        parameters.removeLast()
        return nil
    }

    private func literalChild(_ segment: UnsafeBufferPointer<UInt8>) -> Node? {
        for index in literals.indices where literals[index].bytes.count == segment.count {
            let isEqual = literals[index].bytes.withUnsafeBufferPointer { bytes in
                var position = 0
                while position < segment.count, bytes[position] == segment[position] { position += 1 }
                return position == segment.count
            }
            if isEqual { return literals[index].node }
        }
        return nil
    }

    func entry(for method: HTTPMethod) -> Entry? {
        for entry in routes where entry.method == method { return entry }
        guard method == .HEAD else { return nil }
        for entry in routes where entry.method == .GET { return entry }
        return nil
    }

    var allowedMethods: [HTTPMethod] {
        var methods = routes.map(\.method)
        if let get = methods.firstIndex(of: .GET), !methods.contains(.HEAD) { methods.insert(.HEAD, at: get + 1) }
        return methods
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// `.` or `..`, also with the dots percent-encoded.
    fileprivate var isDotSegment: Bool {
        guard count <= 6, let first, first == UInt8(ascii: ".") || first == UInt8(ascii: "%") else { return false }
        guard let text = PercentEncoding.decode(Substring(decoding: self, as: UTF8.self)) else { return false }
        return text == "." || text == ".."
    }
}
