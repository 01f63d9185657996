/// Finds the route of a request in a fixed table of methods and path templates such as `/users/{userId}/balance`.
///
/// Built once; a match walks the bytes of the path through a tree of segments, kept as plain values in arrays, and allocates
/// nothing. A literal segment is preferred to a parameter. Empty segments, a trailing slash and dot segments match nothing.
///
/// Not generic over the type of a route: a match gives the route's place in the table, so that no request runs unspecialized
/// generic code.
package struct Router: Sendable {
    /// What a method and path lead to.
    package enum Match: Sendable {
        /// The route at this place of the table, with the positions of its parameters.
        case found(Int, PathParameters)
        /// The path exists, but not with this method; the methods it has, as `Allow` lists them.
        case methodNotAllowed([HTTPMethod])
        /// No template has this path.
        case notFound
        /// A percent escape of the path is malformed or does not decode to UTF-8.
        case malformedPath
    }

    /// One segment of the tree: the ranges of its literal children and of the routes that end here, and its parameter child.
    private struct Node {
        var literals: Range<Int> = 0..<0
        var parameterChild = -1
        var routes: Range<Int> = 0..<0
    }

    private struct Literal {
        /// The segment's first eight bytes, and which of a word's bytes they fill; they tell most segments apart.
        let start: UInt64
        let mask: UInt64
        /// Where the segment's bytes are in `text`.
        let text: Range<Int>
        let node: Int

        init(_ segment: Substring, text: Range<Int>, node: Int) {
            var (start, mask) = (UInt64(0), UInt64(0))
            for (index, byte) in segment.utf8.prefix(8).enumerated() {
                start |= UInt64(byte) << UInt64(index * 8)
                mask |= 0xFF << UInt64(index * 8)
            }
            (self.start, self.mask, self.text, self.node) = (start, mask, text, node)
        }
    }

    private struct Entry {
        let method: HTTPMethod
        let place: Int
    }

    private var nodes: [Node] = []
    private var literals: [Literal] = []
    private var entries: [Entry] = []
    private var text: [UInt8] = []

    /// Builds the tree. Two routes of one method and path, and templates that do not begin with a slash, are programmer errors.
    package init(routes: [(method: HTTPMethod, template: String)]) {
        let templates = routes.enumerated().map { place, route in
            precondition(route.template.hasPrefix("/"), "a template begins with a slash: \(route.template)")
            return Template(
                rest: route.template.dropFirst().split(separator: "/", omittingEmptySubsequences: false)[...], method: route.method,
                place: place)
        }
        _ = add(templates)
    }

    /// The names of a template's parameters, in its order.
    package static func parameterNames(of template: String) -> [String] {
        template.split(separator: "/").filter(isParameter).map { String($0.dropFirst().dropLast()) }
    }

    private static func isParameter(_ segment: Substring) -> Bool { segment.hasPrefix("{") && segment.hasSuffix("}") }

    private struct Template {
        var rest: ArraySlice<Substring>
        let method: HTTPMethod
        let place: Int
        var parameterCount = 0
    }

    /// Adds the node that these templates share, and everything below it; returns its index.
    private mutating func add(_ templates: [Template]) -> Int {
        let index = nodes.count
        nodes.append(Node())
        var children: [(segment: Substring, templates: [Template])] = []
        var parameters: [Template] = []
        let firstEntry = entries.count
        for var template in templates {
            guard let segment = template.rest.popFirst() else {
                precondition(!entries[firstEntry...].contains { $0.method == template.method }, "routed twice: \(template.method)")
                precondition(template.parameterCount <= PathParameters.maximumCount, "too many parameters")
                entries.append(Entry(method: template.method, place: template.place))
                continue
            }
            if Router.isParameter(segment) {
                template.parameterCount += 1
                parameters.append(template)
            } else if let known = children.firstIndex(where: { $0.segment == segment }) {
                children[known].templates.append(template)
            } else {
                children.append((segment, [template]))
            }
        }
        nodes[index].routes = firstEntry..<entries.count
        // The children are added first and listed side by side afterwards.
        let added = children.map { child in
            let start = text.count
            text.append(contentsOf: child.segment.utf8)
            let end = text.count
            return Literal(child.segment, text: start..<end, node: add(child.templates))
        }
        nodes[index].literals = literals.count..<literals.count + added.count
        literals.append(contentsOf: added)
        if !parameters.isEmpty { nodes[index].parameterChild = add(parameters) }
        return index
    }

    /// Looks up the method and path of a request. HEAD is answered by the route of GET where it has none of its own.
    package func match(_ request: HTTPRequest) -> Match {
        request.withPath { match(request.method, $0) }
    }

    func match(_ method: HTTPMethod, _ path: UnsafeRawBufferPointer) -> Match {
        var parameters = PathParameters()
        guard path.first == UInt8(ascii: "/"), let found = find(path, &parameters) else { return .notFound }
        guard let place = place(of: method, at: nodes[found]) else { return .methodNotAllowed(allowedMethods(nodes[found])) }
        for index in 0..<parameters.count {
            let parameter = parameters.bytes(index, of: path)
            guard !parameter.contains(UInt8(ascii: "%")) || PercentEncoding.decode(parameter) != nil else { return .malformedPath }
        }
        return .found(place, parameters)
    }

    /// The node at which the path ends.
    private func find(_ path: UnsafeRawBufferPointer, _ parameters: inout PathParameters) -> Int? {
        nodes.withUnsafeBufferPointer { nodes in
            literals.withUnsafeBufferPointer { literals in
                text.withUnsafeBytes { text in
                    Tree(nodes: nodes, literals: literals, text: text, path: path).find(0, from: 1, &parameters)
                }
            }
        }
    }

    /// The arrays of a router and a path, for the time of one match.
    private struct Tree {
        let nodes: UnsafeBufferPointer<Node>
        let literals: UnsafeBufferPointer<Literal>
        let text: UnsafeRawBufferPointer
        let path: UnsafeRawBufferPointer

        /// The node at which the path ends. Tries the literal child first, and the parameter child where that finds nothing.
        func find(_ index: Int, from start: Int, _ parameters: inout PathParameters) -> Int? {
            if let literal = literal(of: index, start) {
                let end = start + literals[literal].text.count
                let child = literals[literal].node
                if end == path.count {
                    if !nodes[child].routes.isEmpty { return child }
                } else if let found = find(child, from: end + 1, &parameters) {
                    return found
                }
            }
            let child = nodes[index].parameterChild
            guard child >= 0 else { return nil }
            var end = start
            while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
            guard end > start, !UnsafeRawBufferPointer(rebasing: path[start..<end]).isDotSegment else { return nil }
            parameters.append(start, end)
            if end == path.count {
                if !nodes[child].routes.isEmpty { return child }
            } else if let found = find(child, from: end + 1, &parameters) {
                return found
            }
            parameters.removeLast()
            return nil
        }

        /// The literal child whose text is the whole segment that begins at an index.
        private func literal(of index: Int, _ start: Int) -> Int? {
            let children = nodes[index].literals
            guard !children.isEmpty else { return nil }
            let word = path.word(at: start)
            for child in children where word & literals[child].mask == literals[child].start {
                let range = literals[child].text
                let end = start + range.count
                guard end <= path.count, end == path.count || path[end] == UInt8(ascii: "/") else { continue }
                if range.count <= 8 || text[range].elementsEqual(path[start..<end]) { return child }
            }
            return nil
        }
    }

    private func place(of method: HTTPMethod, at node: Node) -> Int? {
        for index in node.routes where entries[index].method == method { return entries[index].place }
        guard method == .head else { return nil }
        for index in node.routes where entries[index].method == .get { return entries[index].place }
        return nil
    }

    private func allowedMethods(_ node: Node) -> [HTTPMethod] {
        var methods = entries[node.routes].map(\.method)
        if let get = methods.firstIndex(of: .get), !methods.contains(.head) { methods.insert(.head, at: get + 1) }
        return methods
    }
}

extension UnsafeRawBufferPointer {
    /// Eight bytes from an index on, the first one lowest; what lies beyond the end is zero.
    fileprivate func word(at index: Int) -> UInt64 {
        if index + 8 <= count { return UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self)) }
        var word: UInt64 = 0
        for offset in index..<Swift.max(index, count) { word |= UInt64(self[offset]) << UInt64((offset - index) * 8) }
        return word
    }

    /// `.` or `..`, also with the dots percent-encoded.
    fileprivate var isDotSegment: Bool {
        guard count <= 6, let first, first == UInt8(ascii: ".") || first == UInt8(ascii: "%") else { return false }
        guard let text = PercentEncoding.decode(self) else { return false }
        return text == "." || text == ".."
    }
}
