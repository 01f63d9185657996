/// Why bytes are not JSON.
package struct JSONError: Error, Equatable, CustomStringConvertible {
    /// The byte at which reading stopped, counted from 0 at the start of the document.
    package let offset: Int
    /// One English sentence that repeats nothing of the input, so it is safe to send back.
    package let reason: String

    /// The reason and where.
    package var description: String { "\(reason) (at byte \(offset))" }
}
