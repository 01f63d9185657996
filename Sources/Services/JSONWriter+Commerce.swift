package import Commerce
package import JSON

/// Writes domain values as JSON members, in HTTP answers and in events alike.
extension JSONWriter {
    package mutating func member(_ name: StaticString, _ amount: Won) { member(name, amount.rawValue) }
    package mutating func member(_ name: StaticString, _ amount: Won?) { member(name, amount?.rawValue) }
    package mutating func member(_ name: StaticString, _ instant: Instant) { member(name, instant.description) }
    package mutating func member(_ name: StaticString, _ instant: Instant?) { member(name, instant?.description) }
    package mutating func member<Entity>(_ name: StaticString, _ id: Identifier<Entity>) { member(name, id.rawValue) }
    package mutating func member<Entity>(_ name: StaticString, _ id: Identifier<Entity>?) { member(name, id?.rawValue) }

    /// Writes the lines of an order as the member `items`.
    package mutating func write(_ lines: [OrderLine]) {
        beginArray("items")
        for line in lines {
            beginObject()
            member("productId", line.productID)
            member("name", line.name)
            member("unitPrice", line.unitPrice)
            member("quantity", line.quantity)
            member("amount", line.amount)
            endObject()
        }
        endArray()
    }
}
