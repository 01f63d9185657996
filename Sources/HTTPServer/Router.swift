package import NIOHTTP1

/// Finds the route of a request in a fixed table of methods and path templates such as `/users/{userId}/balance`.
///
/// Built once; a match walks the path's UTF-8 bytes through a tree of segments and allocates nothing but the names it returns.
/// A literal segment is preferred to a parameter. Empty segments, a trailing slash and dot segments match nothing.
package struct Router<Route: Sendable>: Sendable {
    /// What a method and path lead to.
    package enum Match: Sendable {
        /// This route, with what its parameters stand for.
        case found(Route, RouteParameters)
        /// The path exists, but not with this method; the methods it has, as `Allow` lists them.
        case methodNotAllowed([HTTPMethod])
        /// No template has this path.
        case notFound
        /// A percent escape of the path is malformed or does not decode to UTF-8.
        case malformedPath
    }

    private var nodes: [Node<Route>] = [Node()]

    /// Builds the tree. Two routes of one method and path, and templates that do not begin with a slash, are programmer errors.
    package init(routes: [(method: HTTPMethod, template: String, route: Route)]) {
        for entry in routes {
            precondition(entry.template.hasPrefix("/"), "a template begins with a slash: \(entry.template)")
            insert(entry.method, entry.template, entry.route)
        }
    }

    private mutating func insert(_ method: HTTPMethod, _ template: String, _ route: Route) {
        var node = 0
        var names: [String] = []
        for segment in template.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if segment.hasPrefix("{"), segment.hasSuffix("}") {
                names.append(String(segment.dropFirst().dropLast()))
                node = nodes[node].parameterChild ?? addNode { nodes, new in nodes[node].parameterChild = new }
            } else {
                let bytes = Array(segment.utf8)
                node = nodes[node].literalChild(bytes) ?? addNode { nodes, new in nodes[node].literals.append((bytes, new)) }
            }
        }
        precondition(names.count <= RouteParameters.maximumCount, "too many parameters: \(template)")
        precondition(!nodes[node].routes.contains { $0.method == method }, "routed twice: \(method) \(template)")
        nodes[node].routes.append((method, route, names))
    }

    private mutating func addNode(_ link: (inout [Node<Route>], Int) -> Void) -> Int {
        nodes.append(Node())
        link(&nodes, nodes.count - 1)
        return nodes.count - 1
    }

    /// Looks up a method and a percent-encoded path without its query. HEAD is answered by the route of GET where it has none of its own.
    package func match(method: HTTPMethod, path: String) -> Match {
        var path = path
        var parameters = ParameterRanges()
        let found = path.withUTF8 { bytes -> Int? in
            guard bytes.first == UInt8(ascii: "/") else { return nil }
            return find(bytes, from: 1, in: 0, &parameters)
        }
        guard let found else { return .notFound }
        guard let entry = nodes[found].entry(for: method) else { return .methodNotAllowed(nodes[found].allowedMethods) }
        guard let values = RouteParameters(names: entry.names, path: path, ranges: parameters) else { return .malformedPath }
        return .found(entry.route, values)
    }

    /// The node at which the path ends, trying literals first and coming back to a parameter where they lead nowhere.
    private func find(
        _ path: UnsafeBufferPointer<UInt8>, from start: Int, in node: Int, _ parameters: inout ParameterRanges
    ) -> Int? {
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        let segment = UnsafeBufferPointer(rebasing: path[start..<end])
        let isLast = end == path.count
        if let literal = nodes[node].literalChild(segment) {
            if isLast {
                if !nodes[literal].routes.isEmpty { return literal }
            } else if let found = find(path, from: end + 1, in: literal, &parameters) {
                return found
            }
        }
        guard let child = nodes[node].parameterChild, !segment.isEmpty, !segment.isDotSegment else { return nil }
        parameters.append(start..<end)
        if isLast {
            if !nodes[child].routes.isEmpty { return child }
        } else if let found = find(path, from: end + 1, in: child, &parameters) {
            return found
        }
        parameters.removeLast()
        return nil
    }
}

/// One segment of the tree: its children, and the routes of the templates that end here.
private struct Node<Route: Sendable>: Sendable {
    var literals: [(bytes: [UInt8], node: Int)] = []
    var parameterChild: Int?
    var routes: [(method: HTTPMethod, route: Route, names: [String])] = []

    func literalChild(_ segment: some Collection<UInt8>) -> Int? {
        for literal in literals where literal.bytes.count == segment.count && literal.bytes.elementsEqual(segment) {
            return literal.node
        }
        return nil
    }

    func entry(for method: HTTPMethod) -> (route: Route, names: [String])? {
        for entry in routes where entry.method == method { return (entry.route, entry.names) }
        guard method == .HEAD else { return nil }
        for entry in routes where entry.method == .GET { return (entry.route, entry.names) }
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
