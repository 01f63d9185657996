/// What keeps a part from measuring, in words.
package struct BenchFailure: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
