import HTTPServer

extension Call {
    /// The condition of `If-Match` on the resource that the request changes; nil without the field.
    func ifMatch() throws(RequestFault) -> EntityTagCondition? {
        guard let field = request.value(of: .ifMatch) else { return nil }
        guard let condition = EntityTagCondition(field) else {
            throw RequestFault(field: "If-Match", "must be * or a list of entity tags")
        }
        return condition
    }

    /// The representation of a resource, or 304 to a client that says by `If-None-Match` that it has this one.
    func conditional(_ representation: HTTPResponse.Representation) -> HTTPResponse {
        guard let field = request.value(of: .ifNoneMatch), let condition = EntityTagCondition(field),
            condition.matchesWeakly(representation.tag)
        else { return representation.response }
        return HTTPResponse(status: 304, headers: [("etag", representation.tag.text)])
    }
}
